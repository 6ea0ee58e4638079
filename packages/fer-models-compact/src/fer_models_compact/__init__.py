"""A compact network, as a plugin of `fer-core`."""
