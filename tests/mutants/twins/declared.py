"""Sound twins that declare another policy, each with what it takes to keep it."""

from __future__ import annotations

from managers.poor import NOTHING, PoorManager
from managers.rich import RichManager

from pytest_keyconform import Policies


class NoKeyLeft(Exception):
    """Nothing is usable."""


class UnknownModel(Exception):
    """A model that is not configured."""


class UnknownKey(Exception):
    """A key of no pool."""


class BadPools(Exception):
    """Pools that this manager refuses to open."""


class FallsBack(PoorManager):
    """With nothing usable it serves the next key of the pool all the same."""

    policies = Policies(exhaustion="fallback")

    async def _deal(self, vertex, model, besides=None):
        key = await super()._deal(vertex, model, besides)
        deck = self._decks[bool(vertex)]
        if key == NOTHING and deck.cards:
            key = deck.order(model)[0]
            deck.dealt(model, key)
        return key

    async def get_first_valid_key(self):
        return await super().get_first_valid_key() or await self.get_key()

    async def get_random_valid_key(self, model_name=None):
        return await super().get_random_valid_key(model_name) or await self.get_key(model_name)


class RaisesTyped(PoorManager):
    """With nothing usable it raises an error of its own, through every entry point."""

    policies = Policies(exhaustion="typed-error", errors=(NoKeyLeft,))

    def _or_raise(self, key):
        if key == NOTHING:
            message = "no key is usable"
            raise NoKeyLeft(message)
        return key

    async def _deal(self, vertex, model, besides=None):
        return self._or_raise(await super()._deal(vertex, model, besides))

    async def get_first_valid_key(self):
        return self._or_raise(await super().get_first_valid_key())

    async def get_random_valid_key(self, model_name=None):
        return self._or_raise(await super().get_random_valid_key(model_name))

    async def get_next_key(self, is_vertex_key=False):
        return self._or_raise(await super().get_next_key(is_vertex_key))


class RaisesTypedRich(RichManager):
    """The same over an awaited store: the error passes through the lock."""

    policies = Policies(exhaustion="typed-error")
    get_random_valid_key = get_first_valid_key = None

    def _exhausted(self, pool, model):
        message = f"no key of the {pool} pool is usable"
        raise NoKeyLeft(message)

    async def _next(self, pool):
        return await super()._next(pool) or self._exhausted(pool, None)


class AnswersNone(PoorManager):
    """Its sentinel is None."""

    policies = Policies(sentinel=None)

    async def _deal(self, vertex, model, besides=None):
        return await super()._deal(vertex, model, besides) or None

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        arguments = (api_key, model_name, retries, is_vertex_key, status_code)
        return await super().handle_api_failure(*arguments) or None

    async def get_first_valid_key(self):
        return await super().get_first_valid_key() or None

    async def get_random_valid_key(self, model_name=None):
        return await super().get_random_valid_key(model_name) or None

    async def get_next_key(self, is_vertex_key=False):
        return await super().get_next_key(is_vertex_key) or None


class OneFailureIsEnough(PoorManager):
    """A failure takes the key out at once."""

    policies = Policies(failures="immediate")

    def _valid(self, card):
        return not card.out and card.strikes == 0


class SuccessClears(PoorManager):
    """A success zeroes the strikes of its key."""

    policies = Policies(success="clears")

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        stored = await super().update_usage(*arguments)
        card = self._card(is_vertex_key, key_value)
        if stored and not error and not card.out:
            card.strikes = 0
        return stored


class RequestErrorsCount(RichManager):
    """A refused request is a strike as any other failure."""

    policies = Policies(request_errors="counted")

    async def _charge(self, pool, key, model, status):
        await super()._charge(pool, key, model, 500 if status in (400, 404, 413, 422) else status)


class ErrorsAreFree(PoorManager):
    """A failed call consumes nothing of the limits."""

    policies = Policies(error_usage="free")

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        if not error:
            return await super().update_usage(model_name, key_value, is_vertex_key, tokens_used)
        model, card = self._name(model_name), self._card(is_vertex_key, key_value)
        if card is None or error_type not in ("429", "permanent"):
            return False
        self._blame(card, model, 429 if error_type == "429" else 401)
        return True


class RejectsUnknownModels(PoorManager):
    """A model that is not configured, nor the default one, is refused wherever it is named."""

    policies = Policies(unknown_model="reject", errors=(UnknownModel,))

    def _name(self, model):
        name = super()._name(model)
        if name not in self._settings.limits and name != self._settings.default_model:
            message = f"no model {name!r} is configured"
            raise UnknownModel(message)
        return name


class FallbackModel(RichManager):
    """A model that is not configured is taken for the default one."""

    policies = Policies(unknown_model="fallback-model")

    def _resolve(self, model):
        name = super()._resolve(model)
        return name if name in self._limits else super()._resolve(None)


class RefusesUnknownKeys(PoorManager):
    """A report about a key of no pool is an error."""

    policies = Policies(unknown_key="typed-error", errors=(UnknownKey,))

    def _known(self, vertex, key):
        if self._card(vertex, key) is None:
            message = "the key is in no pool"
            raise UnknownKey(message)

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        self._known(is_vertex_key, key_value)
        arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        return await super().update_usage(*arguments)

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        self._known(is_vertex_key, api_key)
        arguments = (api_key, model_name, retries, is_vertex_key, status_code)
        return await super().handle_api_failure(*arguments)


class RefusesSharedKeys(RichManager):
    """A key in both pools is refused when it opens."""

    policies = Policies(both_pools="reject", errors=(BadPools,))

    def __init__(self, pool):
        if set(pool.api_keys) & set(pool.vertex_api_keys):
            message = "a key is in both pools"
            raise BadPools(message)
        super().__init__(pool)


class RefusesEmptyPools(PoorManager):
    """Without any key it does not open."""

    policies = Policies(empty_pools="refuse", errors=(BadPools,))

    async def init(self):
        if not any(deck.cards for deck in self._decks.values()):
            message = "there is no key in either pool"
            raise BadPools(message)


class ExactNames(PoorManager):
    """Only the exact name of a model means it."""

    policies = Policies(model_match="exact")

    def __init__(self, pool):
        super().__init__(pool)
        self._models = []
