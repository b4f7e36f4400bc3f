"""The commands of ``edgespeech data``."""
