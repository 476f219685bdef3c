"""What strangers write: the pool, the policies, the settings. Validated by pydantic."""
