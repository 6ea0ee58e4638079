"""Recipes as YAML: our defaults, and the authors' own per dataset."""
