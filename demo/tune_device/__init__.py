"""Finds and remembers the fastest settings of this device."""
