"""Samplers: a module per family, each with its `RECORDS`; optuna is imported when a sampler is made."""
