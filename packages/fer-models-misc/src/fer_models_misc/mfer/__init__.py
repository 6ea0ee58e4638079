"""MFER: ConvNeXt-Base with two dynamic-static attention blocks and three classifiers."""
