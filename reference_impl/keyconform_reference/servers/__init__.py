"""Managers on servers that are found or started: what the registered targets are made from."""
