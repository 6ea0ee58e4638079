"""Face detectors for fer."""
