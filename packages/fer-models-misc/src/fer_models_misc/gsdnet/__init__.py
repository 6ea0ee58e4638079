"""GSDNet for fer."""
