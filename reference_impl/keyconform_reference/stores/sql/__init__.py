"""The store in an SQL database, SQLite or PostgreSQL; it needs SQLAlchemy (extras ``sqlite`` and ``postgres``)."""

from .postgres import Postgres
from .sqlite import Sqlite
from .store import SqlStore

__all__ = ["Postgres", "SqlStore", "Sqlite"]
