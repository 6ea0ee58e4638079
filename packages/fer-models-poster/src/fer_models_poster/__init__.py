"""POSTER and POSTER++ for fer."""
