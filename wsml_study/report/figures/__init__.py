"""Figures of a study's report; a module per question."""
