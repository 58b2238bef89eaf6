"""Compiled kernels on plain buffers, and their NumPy twins in :mod:`native.reference`."""
