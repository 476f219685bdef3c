"""Simulated processes: several instances in one interpreter over one store, with a choice before each store command."""
