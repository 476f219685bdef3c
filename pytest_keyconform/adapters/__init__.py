"""Reaching a backend: finding the target, binding its operations, calling them, and recording what came of it."""
