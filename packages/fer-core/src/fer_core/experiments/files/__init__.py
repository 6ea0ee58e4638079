"""Experiments that come with the core: `fer-run experiment NAME`."""
