"""Packs: the images of a dataset in one file, read once."""
