"""The store in an SQL database; it needs SQLAlchemy.

Databases are in ``sqlite`` (extra ``sqlite``) and ``postgres`` (extra ``postgres``): each imports its own driver.
"""

from .store import SqlStore

__all__ = ["SqlStore"]
