"""A planted bug of LIFE06: the functions of a provider belong to the module of their factory."""

from __future__ import annotations

import asyncio

from managers.poor import PoorManager

from planted.registry import planted
from pytest_keyconform.spec.pool import Pool

_instances = {}


class BuiltTwice(PoorManager):
    """Two first calls both find nothing, and both build."""


async def get_key_manager_instance(api_keys=None, vertex_api_keys=None):
    if "one" not in _instances:
        if api_keys is None:
            raise ConnectionError("there is none yet")
        await asyncio.sleep(0)
        _instances["one"] = BuiltTwice(Pool(api_keys=tuple(api_keys), vertex_api_keys=tuple(vertex_api_keys or ())))
    return _instances["one"]


async def reset_key_manager_instance():
    _instances.clear()


MUTANTS = (planted("LIFE06", BuiltTwice),)
