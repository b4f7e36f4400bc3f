"""The live view of a terminal and the work of `edgespeech live`."""
