"""The catalogue: every audited invariant, one class each, in the order of their ids."""
