"""Experiments that train `compact`."""
