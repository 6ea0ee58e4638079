"""Evaluation of trained models: predictions, metrics and figures."""
