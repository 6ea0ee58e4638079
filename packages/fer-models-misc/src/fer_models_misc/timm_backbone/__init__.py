"""Any backbone of timm with a linear classifier: the baseline."""
