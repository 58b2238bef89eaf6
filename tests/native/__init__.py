"""Tests of the compiled kernels and their NumPy twins."""
