"""Checks the installation and the machine, and names the fix for each problem."""
