"""From a configuration to trained weights in a run folder."""
