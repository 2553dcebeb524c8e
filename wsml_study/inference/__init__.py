"""Use of trained models: prediction, evaluation, activation maps, ONNX export."""
