"""Reaching a backend: finding it, binding its operations, calling them, and recording what came of it."""
