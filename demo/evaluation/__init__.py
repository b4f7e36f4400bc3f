"""Measures a recognizer on manifests: in noise and in rooms, with hot words, and how good its confidences are."""
