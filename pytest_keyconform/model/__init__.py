"""The sequential specification of a key manager, and the search that judges a history by it."""
