"""Experiments: models x datasets x splits x seeds, planned as runs, each a process of its own."""
