"""Measures speed, latency, memory, energy and accuracy of bundles on this device."""
