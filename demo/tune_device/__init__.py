"""Finds the fastest settings for this device and stores them."""
