"""Planted bugs of the family VTX."""

from __future__ import annotations

from managers.ledger import REGULAR, VERTEX
from managers.poor import NOTHING, PoorManager
from managers.rich import RichManager

from planted.registry import planted


class VertexQuotaUnseen(RichManager):
    """Of a vertex key only strikes and bans are looked at, not what it was used for with the model."""

    async def _usable(self, pool, key, model):
        if pool == VERTEX:
            return self._is_valid(await self._health(pool, key))
        return await super()._usable(pool, key, model)


class VertexNeedsAModel(PoorManager):
    """The vertex acquire strips the model's provider prefix before it looks whether there is a model."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        if is_vertex_key:
            model_name = model_name.removeprefix("publishers/google/models/")
        return await super().get_key(model_name, is_vertex_key)


class NothingWithoutAModel(RichManager):
    """The vertex failure that names no model is charged, and answers nothing at all."""

    async def handle_vertex_api_failure(self, api_key, retries, model_name=None):
        if model_name is not None:
            return await self._failed(VERTEX, api_key, model_name, retries, None)
        async with self._locks[VERTEX]:
            if api_key in self._keys[VERTEX]:
                await self._strike(VERTEX, api_key)
        return None


class ReplacedFromTheRegularPool(PoorManager):
    """The vertex failure is charged to the vertex pool and replaced from the regular one."""

    async def handle_vertex_api_failure(self, api_key, retries, model_name=None):
        model, card = self._name(model_name), self._card(True, api_key)
        if card is not None:
            self._blame(card, model, None)
        if retries >= self._settings.max_retries:
            return NOTHING
        return await self._deal(False, model, besides=api_key)


class HealthOfTheName(RichManager):
    """Strikes and bans are kept by key, whatever pool it is in."""

    async def _health(self, pool, key):
        return await super()._health("any", key)

    async def _put_health(self, pool, key, health):
        await super()._put_health("any", key, health)


class RegularComesFirst(PoorManager):
    """A report looks for its key in the regular pool first, also when it is about a vertex key."""

    def _reported(self, vertex, key):
        return self._card(False, key) or self._card(vertex, key)

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        model, card = self._name(model_name), self._reported(is_vertex_key, key_value)
        if card is None or type(tokens_used) is not int or tokens_used < 0:
            return False
        self._spend(card, model, tokens_used)
        if error and error_type in ("429", "permanent"):
            self._blame(card, model, 429 if error_type == "429" else 401)
        return True


class FailsInBothPools(RichManager):
    """A failure with a status is charged in every pool that has the key; every other report in one."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        pool = self._pool(is_vertex_key)
        other = REGULAR if pool == VERTEX else VERTEX
        if status_code is not None:
            async with self._locks[other]:
                if api_key in self._keys[pool] and api_key in self._keys[other]:
                    await self._charge(other, api_key, self._resolve(model_name), status_code)
        return await self._failed(pool, api_key, model_name, retries, status_code)


class RegularKeysAreNoVertexKeys(PoorManager):
    """A key of both pools is taken for a regular one, and left out of the vertex pool."""

    def __init__(self, pool):
        super().__init__(pool)
        regular = set(pool.api_keys)
        self._decks[True].exchange([key for key in pool.vertex_api_keys if key not in regular])


MUTANTS = (
    planted("VTX01", VertexQuotaUnseen),
    planted("VTX01", VertexNeedsAModel),
    planted("VTX02", NothingWithoutAModel),
    planted("VTX02", ReplacedFromTheRegularPool),
    planted("VTX03", HealthOfTheName),
    planted("VTX03", RegularComesFirst),
    planted("VTX04", FailsInBothPools),
    planted("VTX04", RegularKeysAreNoVertexKeys),
)
