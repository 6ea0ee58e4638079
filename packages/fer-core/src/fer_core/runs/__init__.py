"""The files of a run: their names, what they hold, and how they are read."""
