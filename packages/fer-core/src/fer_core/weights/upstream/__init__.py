"""Weight files published by the authors of a model, read without executing code in them."""
