"""Planted bugs of the family FMT."""

from __future__ import annotations

import asyncio

from managers.ledger import REGULAR, VERTEX
from managers.poor import NOTHING, PoorManager
from managers.rich import RichManager

from planted.registry import planted


class EmptyGroupsLeftOut(RichManager):
    """A group without keys is missing from the status."""

    async def get_keys_by_status(self):
        groups = await self._statuses(REGULAR)
        return {name: group for name, group in groups.items() if group}


class NoFailuresNoNumber(PoorManager):
    """A key that never failed stands in the status with None."""

    async def get_keys_by_status(self):
        groups = self._groups(False)
        return {name: {key: strikes or None for key, strikes in group.items()} for name, group in groups.items()}


class ShowsTheRestedOnly(RichManager):
    """Keys that have failed and are not out yet stand in no group."""

    async def get_keys_by_status(self):
        groups = await self._statuses(REGULAR)
        rested = {key: strikes for key, strikes in groups["valid_keys"].items() if strikes == 0}
        return {**groups, "valid_keys": rested}


class SplitAboveTheThreshold(PoorManager):
    """The status puts a key with as many failures as allowed among the valid ones."""

    async def get_keys_by_status(self):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        for card in self._decks[False].cards.values():
            out = card.out or card.strikes > self._settings.max_failures
            groups["invalid_keys" if out else "valid_keys"][card.key] = card.strikes
        return groups


class AllButTheInvalid(RichManager):
    """`all_keys` starts from the valid ones and never gets the others."""

    async def get_all_keys_with_fail_count(self):
        groups = await self._statuses(REGULAR)
        every = dict(groups["valid_keys"])
        every.update({key: groups["invalid_keys"][key] for key in every if key in groups["invalid_keys"]})
        return {**groups, "all_keys": every}


class AllKeysAsAList(PoorManager):
    """`all_keys` is a list of names, without counts."""

    async def get_all_keys_with_fail_count(self):
        groups = self._groups(False)
        return {**groups, "all_keys": [*groups["valid_keys"], *groups["invalid_keys"]]}


class StatusOfTheWrongBook(RichManager):
    """The status of the vertex pool lists its keys with what the regular pool knows of them."""

    async def get_vertex_keys_by_status(self):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        async with self._locks[VERTEX]:
            for key in self._keys[VERTEX]:
                health = await self._health(REGULAR, key)
                groups["valid_keys" if self._is_valid(health) else "invalid_keys"][key] = health.strikes
        return groups


class StatusOfBothPools(PoorManager):
    """The status of the vertex pool holds the invalid keys of both."""

    async def get_vertex_keys_by_status(self):
        regular, vertex = self._groups(False), self._groups(True)
        return {**vertex, "invalid_keys": {**regular["invalid_keys"], **vertex["invalid_keys"]}}


class TwoPasses(RichManager):
    """The valid keys are collected in one pass and the invalid ones in another, the lock free in between."""

    async def _pass(self, pool, *, valid):
        group = {}
        async with self._locks[pool]:
            for key in self._keys[pool]:
                health = await self._health(pool, key)
                if self._is_valid(health) == valid:
                    group[key] = health.strikes
        return group

    async def _statuses(self, pool):
        return {
            "valid_keys": await self._pass(pool, valid=True),
            "invalid_keys": await self._pass(pool, valid=False),
        }


class KeyByKey(PoorManager):
    """The status looks at one key after the other and lets others run in between."""

    async def get_keys_by_status(self):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        for card in list(self._decks[False].cards.values()):
            if self._valid(card):
                groups["valid_keys"][card.key] = card.strikes
            await asyncio.sleep(0)
            if not self._valid(card):
                groups["invalid_keys"][card.key] = card.strikes
        return groups


class StatusHandedOutTwice(RichManager):
    """The status is kept until something fails, and the one kept is the one that was handed out."""

    def __init__(self, pool):
        super().__init__(pool)
        self._kept = {}

    async def _put_health(self, pool, key, health):
        await super()._put_health(pool, key, health)
        self._kept.pop(pool, None)

    async def get_keys_by_status(self):
        if REGULAR not in self._kept:
            self._kept[REGULAR] = await self._statuses(REGULAR)
        return self._kept[REGULAR]


class ShallowCopy(PoorManager):
    """The outer dictionary of the status is made anew, the groups in it are the ones that are kept."""

    def __init__(self, pool):
        super().__init__(pool)
        self._kept = {False: super()._groups(False), True: super()._groups(True)}

    def _blame(self, card, model, status):
        super()._blame(card, model, status)
        self._refresh()

    def _forgive(self, card):
        super()._forgive(card)
        self._refresh()

    def _refresh(self):
        for vertex, kept in self._kept.items():
            kept.update(super()._groups(vertex))

    def _groups(self, vertex):
        return dict(self._kept[vertex])

    async def reinitialize(self, api_keys, vertex_api_keys):
        await super().reinitialize(api_keys, vertex_api_keys)
        self._refresh()


class ValidityNotAwaited(RichManager):
    """`is_key_valid` answers the question instead of the answer to it."""

    async def is_key_valid(self, key):
        return self._validity(REGULAR, key)


class NothingWhenRetriesEnd(PoorManager):
    """When the retries are used up it returns without a value."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        model, card = self._name(model_name), self._card(is_vertex_key, api_key)
        if card is not None:
            self._blame(card, model, status_code)
        if retries < self._settings.max_retries:
            return await self._deal(is_vertex_key, model, besides=api_key) or NOTHING
        return None


MUTANTS = (
    planted("FMT01", EmptyGroupsLeftOut),
    planted("FMT01", NoFailuresNoNumber),
    planted("FMT02", ShowsTheRestedOnly),
    planted("FMT02", SplitAboveTheThreshold),
    planted("FMT03", AllButTheInvalid),
    planted("FMT03", AllKeysAsAList),
    planted("FMT04", StatusOfTheWrongBook),
    planted("FMT04", StatusOfBothPools),
    planted("FMT05", TwoPasses),
    planted("FMT05", KeyByKey),
    planted("FMT06", StatusHandedOutTwice),
    planted("FMT06", ShallowCopy),
    planted("FMT08", ValidityNotAwaited),
    planted("FMT08", NothingWhenRetriesEnd),
)
