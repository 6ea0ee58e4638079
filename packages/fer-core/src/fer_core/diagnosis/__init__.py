"""Where a network errs and why: mistakes, suspected labels, slices, robustness, attention, embedding."""
