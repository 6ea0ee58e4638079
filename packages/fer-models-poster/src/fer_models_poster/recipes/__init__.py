"""Recipes as YAML, per model: our default, and the authors' own per dataset."""
