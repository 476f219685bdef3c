"""The names of v1: they work as they did, and warn at the line that calls."""

import asyncio
import inspect
import warnings

import pytest

from keyconform_reference.v1 import KeyManager

KEY, VERTEX = "v1-key-aaaa", "v1-key-bbbb"


@pytest.mark.parametrize(
    "call, answer",
    [
        (lambda manager: manager.get_next_working_key(), KEY),
        (lambda manager: manager.get_next_working_key("m1"), KEY),
        (lambda manager: manager.get_next_working_vertex_key(), VERTEX),
        (lambda manager: manager.get_next_vertex_key(), VERTEX),
        (lambda manager: manager.get_first_valid_key(), KEY),
        (lambda manager: manager.handle_vertex_api_failure(VERTEX, 0), VERTEX),
    ],
)
def test_a_name_of_v1_warns_at_the_callers_line(call, answer):
    """The call answers, and the warning names the new way and this file."""

    async def run():
        manager = KeyManager([KEY], [VERTEX])
        await manager.init()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert await call(manager) == answer
        (warning,) = caught
        assert warning.category is DeprecationWarning
        assert (warning.filename, warning.lineno) == (__file__, call.__code__.co_firstlineno)
        assert "use " in str(warning.message)

    asyncio.run(run())


def test_what_is_not_of_v1_is_silent():
    """The names of today warn of nothing, and signatures are the same under both."""

    async def run():
        manager = KeyManager([KEY])
        await manager.init()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert await manager.get_key() == KEY

    asyncio.run(run())
    assert "model_name" in inspect.signature(KeyManager.get_next_working_key).parameters
