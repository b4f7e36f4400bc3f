"""Measures on manifests: error rates in noise and rooms, hot words, calibration of confidences, data scaling."""
