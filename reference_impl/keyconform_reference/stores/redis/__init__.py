"""The state of the keys in Redis: one script for each step, several processes on several machines."""

from .store import RedisStore, redis_store

__all__ = ["RedisStore", "redis_store"]
