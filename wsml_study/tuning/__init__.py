"""The run of a study: driver, Optuna searcher, ledger, early stopping, levels, confirmation, tracking."""
