"""Analysis of a network's errors: mistakes, label issues, slices, robustness, attention, embedding."""
