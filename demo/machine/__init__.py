"""Describes this device and reads its sensors and energy counters."""
