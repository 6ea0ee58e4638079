"""Recipes as YAML: our default, and the authors' own for RAF-DB."""
