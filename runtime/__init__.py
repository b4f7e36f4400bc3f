"""Speech recognition on the device with numpy and onnxruntime, and kenlm if installed; never imports torch."""
