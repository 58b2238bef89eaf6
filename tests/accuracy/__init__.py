"""Real photographs and models, which stand beside the project and are no part of it; skipped where missing."""
