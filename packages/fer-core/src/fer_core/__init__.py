"""The core of fer: hooks, configuration, data, training, evaluation and the `fer-run` command."""
