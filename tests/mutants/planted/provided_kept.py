"""Planted bugs of LIFE10 and LIFE14: the functions of a provider belong to the module of their factory."""

from __future__ import annotations

from managers.poor import PoorManager

from planted.registry import planted
from pytest_keyconform.spec.pool import Pool

_instances = {}


class GoesOnAlone(PoorManager):
    """A manager that the provider has forgotten goes on with its old keys."""


class PassesOtherPoolsOver(PoorManager):
    """Where there is an instance, the provider does not look at the keys it is given."""


async def get_key_manager_instance(api_keys=None, vertex_api_keys=None):
    if "one" not in _instances:
        _instances["one"] = GoesOnAlone(Pool(api_keys=tuple(api_keys), vertex_api_keys=tuple(vertex_api_keys or ())))
    return _instances["one"]


async def reset_key_manager_instance():
    _instances.clear()


MUTANTS = (planted("LIFE10", GoesOnAlone), planted("LIFE14", PassesOtherPoolsOver))
