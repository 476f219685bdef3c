"""SQLAlchemy, and what the store uses of it; nothing else of this package imports it."""

from __future__ import annotations

try:
    from sqlalchemy import (
        BigInteger,
        Boolean,
        Column,
        ColumnDefault,
        ColumnElement,
        Connection,
        Double,
        Engine,
        Index,
        Integer,
        LargeBinary,
        MetaData,
        NullPool,
        RowMapping,
        Select,
        String,
        Table,
        Text,
        and_,
        bindparam,
        create_engine,
        delete,
        exists,
        func,
        insert,
        literal,
        or_,
        select,
        update,
    )
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
    from sqlalchemy.schema import CreateIndex, CreateTable
    from sqlalchemy.util import await_only
except ImportError as error:
    from keyconform_reference.errors import ConfigurationError

    message = "an SQL store needs SQLAlchemy with asyncio: install pytest-keyconform[sqlite] or [postgres]"
    raise ConfigurationError(message) from error

__all__ = [
    "AsyncConnection",
    "AsyncEngine",
    "BigInteger",
    "Boolean",
    "Column",
    "ColumnDefault",
    "ColumnElement",
    "Connection",
    "CreateIndex",
    "CreateTable",
    "DBAPIError",
    "Double",
    "Engine",
    "Index",
    "Integer",
    "LargeBinary",
    "MetaData",
    "NullPool",
    "RowMapping",
    "SQLAlchemyError",
    "Select",
    "String",
    "Table",
    "Text",
    "and_",
    "await_only",
    "bindparam",
    "create_async_engine",
    "create_engine",
    "delete",
    "exists",
    "func",
    "insert",
    "literal",
    "or_",
    "select",
    "update",
]
