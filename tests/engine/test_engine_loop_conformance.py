"""The controlled loop beside asyncio's own: the same programs, the same results, the same order of effects."""

from hypothesis import given, settings
from hypothesis import strategies as st
from loops import clients, controlled, in_asyncio

from pytest_keyconform.engine.search.random import RandomWalk
from pytest_keyconform.engine.search.replay import Replay


@settings(max_examples=300, deadline=None)
@given(clients(1))
def test_first_in_first_out_is_asyncio(clients):
    """Without a chooser every program has the results and the order of effects that it has in asyncio."""
    assert controlled(clients) == in_asyncio(clients)


@settings(max_examples=100, deadline=None)
@given(clients(2), st.integers(0, 2**32))
def test_any_order_can_be_replayed(clients, seed):
    """Under any order a program ends, and the schedule that is told has the same effects again."""
    walk = RandomWalk(seed)
    for _ in range(3):
        if walk.begin():
            log = controlled(clients, walk.choose)
            replay = Replay(walk.schedule())
            assert replay.begin()
            assert controlled(clients, replay.choose) == log
            assert not replay.diverged
