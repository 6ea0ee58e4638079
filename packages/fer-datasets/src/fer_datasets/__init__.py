"""Datasets of facial expressions for fer."""
