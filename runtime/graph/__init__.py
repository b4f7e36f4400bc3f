"""ONNX graphs of bundles, read without a library, and the limits that they must keep to."""
