"""Measures speed, memory, energy and accuracy of bundles on this device."""
