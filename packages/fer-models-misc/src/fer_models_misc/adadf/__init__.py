"""Ada-DF: a shared stem, two branches of a ResNet-18, and targets fused from distributions of the classes."""
