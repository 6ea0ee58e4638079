"""Recipes of `compact`."""
