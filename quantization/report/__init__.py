"""What quantization cost, in figures, tables and pictures."""
