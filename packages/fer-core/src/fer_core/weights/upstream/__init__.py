"""Files of weights that the authors of a model published: read without running anything in them."""
