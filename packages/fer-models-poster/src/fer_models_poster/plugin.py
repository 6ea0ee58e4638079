"""The plugin of this package. It registers no model yet."""
