"""DDAMFN and DDAMFN++ for fer."""
