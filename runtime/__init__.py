"""What runs on the device: numpy, onnxruntime and kenlm, never torch."""
