"""From a dataset to batches: tables, splits, packs, transforms and the loader."""
