"""Recipes as YAML: our defaults, and the authors' own for RAF-DB."""
