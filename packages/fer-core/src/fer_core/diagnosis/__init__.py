"""Where a network errs: mistakes, suspected labels, slices."""
