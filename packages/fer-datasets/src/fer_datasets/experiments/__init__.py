"""Experiments of others, as files: what they ran, and the figures that they published."""
