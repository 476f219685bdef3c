"""Telling what came of a run: one pure function for each form, from a report to text."""
