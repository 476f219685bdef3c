"""Backends written for trio: clients take turns at their checkpoints. Imported only for those, trio is optional."""
