"""Recipes as YAML, our own."""
