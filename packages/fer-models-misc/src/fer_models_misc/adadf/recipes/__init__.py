"""Recipes as YAML: our default, and the authors' own per dataset."""
