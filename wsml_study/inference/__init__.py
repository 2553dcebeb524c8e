"""Trained models at work: predictions, evaluation, activation maps."""
