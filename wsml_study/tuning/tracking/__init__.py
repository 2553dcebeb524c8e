"""Other programs that show a study as it runs: Optuna's dashboard, TensorBoard, MLflow, Weights & Biases."""
