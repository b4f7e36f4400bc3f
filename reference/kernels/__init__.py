"""C++ for the slow parts of training on a CPU, compiled on first use."""
