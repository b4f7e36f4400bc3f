"""A checkpoint becomes a verified streaming ONNX bundle."""
