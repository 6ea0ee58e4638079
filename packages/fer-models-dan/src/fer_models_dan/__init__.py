"""DAN for fer."""
