"""Tests that go through a real server process."""
