"""Checks what is installed, what is missing for what, and how to fix it."""
