"""Inspection before training: findings of a check, and the images that a network sees."""
