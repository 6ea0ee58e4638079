"""Recipes as YAML: the authors' RAF-DB script, our default, and one for the synthetic faces."""
