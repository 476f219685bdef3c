"""Fitting a method to an operation: what its signature takes, promises, and how a step's arguments reach it."""

from __future__ import annotations

import asyncio  # noqa: TC003 - annotations are evaluated
import collections.abc  # noqa: TC003 - likewise
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Coroutine
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from pytest_keyconform.adapters.audited import AUDITED
from pytest_keyconform.adapters.forms import BOTH, REGULAR, Bound, bind
from pytest_keyconform.adapters.signatures import answer_text, is_async, signature_of

ROWS = {audited.method: audited for audited in AUDITED}


def called(form, arguments):
    """Call a bound method with the arguments of a step."""
    placed, named = form.passed(arguments)
    return form.method(*placed, **named)


def bound(method, name):
    """Bind a method as the audited one of that name."""
    row = ROWS[name]
    return bind(method, name, row.slots, pools=row.pools, sites=row.sites)


def echo(**taken):
    """Answer what a method was given, by name."""
    return taken


def test_arguments_go_by_name_those_the_signature_takes():
    """A method gets the arguments its signature takes, under the audited names."""

    def update_usage(model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None):
        return (model_name, key_value, is_vertex_key, tokens_used, error, error_type)

    form = bound(update_usage, "update_usage")
    given = {"lease": "k", "model": "m1", "pool": "vertex", "tokens": 5, "outcome": "quota"}
    assert called(form, given) == ("m1", "k", True, 5, True, "429")
    assert form.form.parameters == {"lease", "model", "pool", "tokens", "outcome"}
    assert form.form.optional == {"pool", "tokens", "outcome"}
    assert form.form.pools == BOTH


@pytest.mark.parametrize(
    "outcome, passed",
    [
        ("success", {"error": False, "error_type": None}),
        ("quota", {"error": True, "error_type": "429"}),
        ("auth", {"error": True, "error_type": "permanent"}),
        ("request", {"error": True, "error_type": None}),
        ("transient", {"error": True, "error_type": None}),
    ],
)
def test_an_outcome_becomes_an_error_and_its_type(outcome, passed):
    """Each outcome class reaches the audited report as an error flag and an error type."""
    form = bound(echo, "update_usage")
    assert called(form, {"lease": "k", "outcome": outcome}) == {"key_value": "k", **passed}


def test_an_outcome_is_claimed_only_if_it_gets_through_whole():
    """A report with an error flag and no error type cannot say which class it was."""

    def update_usage(model_name, key_value, error=False):
        return error

    assert "outcome" not in bound(update_usage, "update_usage").form.parameters


def test_no_model_is_left_out_where_it_can_be_and_none_elsewhere():
    """``model=None`` means that no model is given: left out if optional, None if required."""
    assert called(bound(lambda model_name="d": model_name, "get_key"), {"model": None}) == "d"
    assert called(bound(lambda model_name: model_name, "get_key"), {"model": None}) is None
    assert called(bound(lambda model_name="d": model_name, "get_key"), {}) == "d"


def test_parameters_are_met_by_their_names_then_by_their_places():
    """Another order is met by name; another name is met by its place in the audited signature."""

    def turned(is_vertex_key, model_name):
        return (model_name, is_vertex_key)

    def renamed(which, from_vertex=False):
        return (which, from_vertex)

    def swapped(key, model):
        return (key, model)

    assert called(bound(turned, "get_key"), {"model": "m", "pool": "vertex"}) == ("m", True)
    assert called(bound(renamed, "get_key"), {"model": "m", "pool": "vertex"}) == ("m", True)
    assert called(bound(swapped, "update_usage"), {"lease": "k", "model": "m"}) == ("k", "m")


def test_a_place_means_nothing_where_the_kind_says_otherwise():
    """A parameter of another kind than the audited one of its place is an argument of its own."""
    waits = bound(lambda timeout=5.0: timeout, "get_key")
    assert called(waits, {"model": "m1"}) == 5.0
    assert waits.form.parameters == frozenset()

    def annotated(seconds: float, model_name="m"):
        return (seconds, model_name)

    assert bound(annotated, "get_key") == "its parameter 'seconds' is none of the audited ones"


def test_a_required_parameter_of_its_own_cannot_be_given():
    """A signature that needs what no step gives is not claimed, and says why."""

    def handle_api_failure(api_key, model_name, retries, is_vertex_key, status_code, request_id):
        return request_id

    refused = bound(handle_api_failure, "handle_api_failure")
    assert refused == "its parameter 'request_id' is none of the audited ones"
    assert bound(lambda: 0, "get_fail_count") == "it takes no 'key'"

    def odd(key):
        return key

    odd.__signature__ = "none"
    assert bound(odd, "get_fail_count") == "its signature cannot be read"


def test_positional_only_parameters_keep_their_places():
    """A positional-only argument is passed by position, and what is left out before it keeps its default."""

    def get_key(model_name="d", is_vertex_key=False, /):
        return (model_name, is_vertex_key)

    def own(_clock=7, key_value="", model_name="d", /):
        return (_clock, key_value, model_name)

    assert called(bound(get_key, "get_key"), {"pool": "vertex"}) == ("d", True)
    assert called(bound(get_key, "get_key"), {}) == ("d", False)
    assert called(bound(own, "update_usage"), {"lease": "k", "model": None}) == (7, "k", "d")


def test_a_method_that_takes_anything_gets_everything_by_name():
    """``**kwargs`` takes every audited argument; ``*args`` alone takes them in the audited order."""
    given = {"lease": "k", "model": "m", "retries": 1, "status": None, "pool": "regular"}
    every = {"api_key": "k", "model_name": "m", "retries": 1, "is_vertex_key": False, "status_code": None}
    assert called(bound(lambda *_args, **rest: rest, "handle_api_failure"), given) == every
    assert called(bound(lambda *args: args, "handle_api_failure"), given) == ("k", "m", 1, False, None)
    assert called(bound(lambda *args: args, "get_key"), {"pool": "vertex"}) == (None, True)


def test_a_usage_that_names_no_pool_is_about_the_regular_one():
    """A form without a pool is asked about regular keys, one that names it about both."""
    assert bound(lambda api_key, model_name: 0, "get_usage_stats").form.pools == REGULAR
    assert bound(lambda api_key, model_name, is_vertex_key=False: 0, "get_usage_stats").form.pools == BOTH
    assert bound(lambda **_rest: 0, "get_usage_stats").form.pools == REGULAR


@pytest.mark.parametrize(
    "name, arguments, pool, passed",
    [
        ("handle_api_failure", {"lease": "k", "model": "m", "retries": 2, "status": 429}, "regular", ("k", "m", 2)),
        ("handle_api_failure", {"lease": "k", "model": None, "retries": 0}, "regular", ("k", None, 0)),
        ("handle_api_failure", {"lease": "k", "model": "m"}, "regular", ("k", "m", 0)),
        ("handle_vertex_api_failure", {"lease": "k", "model": "m", "retries": 1}, "vertex", ("k", 1)),
        ("get_next_working_vertex_key", {"model": None}, "vertex", ()),
        ("get_next_working_vertex_key", {"model": "m"}, "vertex", ("m",)),
        ("get_key", {"model": "m", "pool": "regular"}, "regular", ("m",)),
        ("get_key", {"model": "m", "pool": "vertex"}, "vertex", ("m", True)),
        ("get_key", {"model": None, "pool": "vertex"}, "vertex", (None, True)),
        ("get_fail_count", {"key": "k"}, "regular", ("k",)),
        ("update_usage", {"lease": "k", "model": "m", "tokens": 3}, "regular", ("m", "k", False, 3)),
    ],
)
def test_call_sites_pass_by_position(name, arguments, pool, passed):
    """The positional forms are exactly those that call sites use."""
    assert tuple(bound(lambda *args: args, name).passed_as_sites_do(arguments, pool)) == passed


class Called:
    async def __call__(self):
        return 1


class Promises:
    async def plain(self) -> str: ...

    @staticmethod
    async def static() -> None: ...

    @classmethod
    async def of_class(cls): ...

    def awaitable(self) -> Awaitable[None]: ...

    def coroutine(self) -> Coroutine[Any, Any, dict[str, int]]: ...

    def unknown(self) -> collections.abc.Awaitable[Missing]: ...  # noqa: F821 - a name for type checkers alone

    def future(self) -> asyncio.Future[bool]: ...

    async def stream(self) -> AsyncIterator[str]:
        yield ""

    def iterator(self) -> AsyncIterator[str]: ...


@pytest.mark.parametrize("name", [name for name in vars(Promises) if not name.startswith("_")])
def test_what_is_to_be_awaited_is_told_without_a_call(name):
    """A coroutine function is told from its kind or from its annotation, in whatever coat."""
    method = getattr(Promises(), name)
    assert is_async(method, signature_of(method))


def test_coats_of_a_coroutine_function_are_seen_through():
    """Partials, wrappers and callable objects are unwrapped."""

    @functools.wraps(Promises.plain)
    def wrapper(*args):
        return Promises.plain(*args)

    for method in (functools.partial(Promises().plain), Called(), wrapper, mock.AsyncMock()):
        assert is_async(method)
    for method in (print, len, lambda: 0, SimpleNamespace, mock.Mock(return_value=1), "".join):
        assert not is_async(method)


@pytest.mark.parametrize(
    "annotation, text",
    [
        (None, "None"),
        ("None", "None"),
        ("Awaitable[None]", "None"),
        ("typing.Coroutine[Any, Any, None]", "None"),
        (Coroutine[Any, Any, dict[str, int]], "dict[str, int]"),
        ("Coroutine[Any, Any, tuple[int, str]]", "tuple[int, str]"),
        (str, "str"),
        (inspect.Signature.empty, ""),
    ],
)
def test_the_answer_that_is_promised_is_read_from_any_annotation(annotation, text):
    """What is answered once it is awaited is read from evaluated annotations and from text."""
    assert answer_text(inspect.Signature(return_annotation=annotation)) == text


def test_a_method_that_answers_nothing_does_not_claim_an_answer():
    """``-> None`` promises no answer, also as text that cannot be evaluated beside the other annotations."""

    def update_usage(model_name: Missing, key_value: str) -> None:  # noqa: F821 - for type checkers alone
        return None

    assert not bound(update_usage, "update_usage").form.answers
    assert bound(lambda model_name, key_value: None, "update_usage").form.answers


def test_a_signature_is_read_once_for_a_function():
    """Two managers of one class share what was found, and each is called itself."""

    class Manager:
        def get_key(self, model_name=None):
            return self

    first, second = Manager(), Manager()
    forms = [bound(one.get_key, "get_key") for one in (first, second)]
    assert all(isinstance(one, Bound) for one in forms)
    assert forms[0].fitted is forms[1].fitted
    assert [called(one, {}) for one in forms] == [first, second]


def test_a_form_knows_where_it_is_defined():
    """A form names the file and line of its definition, below whatever is wrapped around it."""

    def plain(model_name=None):
        return ""

    @functools.wraps(plain)
    def wrapped(*arguments, **named):
        return plain(*arguments, **named)

    line = plain.__code__.co_firstlineno
    for method in (plain, wrapped):
        assert bound(method, "get_key").form.where.endswith(f"test_adapters_forms.py:{line}")
