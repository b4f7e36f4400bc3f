"""The beam search in C++, called through ctypes."""
