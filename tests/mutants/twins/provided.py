"""A sound manager with a provider: one instance, built under a lock."""

from __future__ import annotations

import asyncio

from managers.poor import PoorManager

from pytest_keyconform.spec.pool import Pool


class NotBuilt(Exception):
    """There is no instance yet."""


class OtherKeys(Exception):
    """There is an instance, of other keys."""


class Retired(Exception):
    """This instance was reset."""


class Provided(PoorManager):
    """A manager of this module."""

    retired = False

    async def get_key(self, model_name=None, is_vertex_key=False):
        if self.retired:
            raise Retired
        return await super().get_key(model_name, is_vertex_key)


class _Slot:
    instance = None
    building = None


async def get_key_manager_instance(api_keys=None, vertex_api_keys=None):
    """Answer the instance, and build it where keys are given."""
    if _Slot.building is not None:
        await _Slot.building.wait()
    if _Slot.instance is None:
        if api_keys is None:
            raise NotBuilt
        _Slot.building = asyncio.Event()
        await asyncio.sleep(0)
        _Slot.instance = Provided(Pool(api_keys=tuple(api_keys), vertex_api_keys=tuple(vertex_api_keys or ())))
        _Slot.building.set()
        _Slot.building = None
    if api_keys is not None and list(_Slot.instance._decks[False].cards) != list(dict.fromkeys(api_keys)):
        raise OtherKeys
    return _Slot.instance


async def reset_key_manager_instance():
    """Forget the instance, which refuses from now on."""
    if _Slot.instance is not None:
        _Slot.instance.retired = True
    _Slot.instance = _Slot.building = None
