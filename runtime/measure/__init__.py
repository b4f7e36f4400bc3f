"""Word errors, time and memory, counted in one way everywhere."""
