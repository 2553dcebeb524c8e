"""The study file: its sections, checks, search space and levels of fidelity. Imports no torch."""
