"""The specs of the datasets, as plain data without numpy and pandas."""
