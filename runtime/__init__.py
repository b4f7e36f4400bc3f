"""Speech recognition on the device with numpy, onnxruntime and kenlm; never imports torch."""
