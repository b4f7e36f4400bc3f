"""Samples on their way to the model: hum and offsets removed, quiet speech amplified, digital silence filled."""
