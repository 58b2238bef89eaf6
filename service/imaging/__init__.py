"""Bytes to upright pixels and back: probe, decode, mask, convert, encode."""
