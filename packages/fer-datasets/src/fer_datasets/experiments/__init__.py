"""Published experiments as files: their runs and their figures."""
