"""Keys: redaction, lists of them, and the state of one."""

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyconform_reference import ConfigurationError, Limits, Options
from keyconform_reference.keys import FREE, Hold, KeyState, ModelUse, Pool, plain_keys, redact
from keyconform_reference.windows import Windows

WINDOWS = Windows(Options())
NOON = 1_772_366_400.0


@given(st.text(string.ascii_letters + string.digits, min_size=1, max_size=60))
def test_of_a_key_at_most_a_third_and_eight_characters_are_shown(key):
    """Redaction shows a third of a key at most, and never more than eight characters."""
    shown = redact(key).replace("...", "", 1)
    assert len(shown) <= min(8, len(key) // 3)
    assert redact(key) != key


def test_a_long_key_can_be_told_from_others():
    """Four characters at each end are shown of a key that is long enough."""
    assert redact("AIza" + "x" * 31 + "9zKq") == "AIza...9zKq"


def test_a_key_listed_twice_is_one_key():
    """Keys are kept once, in order."""
    assert plain_keys(iter(["b", "a", "b"]), "api_keys") == ("b", "a")


def test_keys_are_plain_strings():
    """A subclass of ``str`` is served as a plain one."""

    class Fancy(str):
        __slots__ = ()

        def __str__(self):
            return "hidden"

    (key,) = plain_keys([Fancy("real")], "api_keys")
    assert type(key) is str
    assert key == "real"


@pytest.mark.parametrize(
    "keys",
    [["good", ""], ["good", "  "], ["good", "a\nb"], ["good", 7], ["good", b"x"], "good", b"good", 7, None],
    ids=repr,
)
def test_what_is_no_key_is_refused_without_naming_any(keys):
    """A list with anything but keys is a typed error that says where and shows none of them."""
    with pytest.raises(ConfigurationError, match="api_keys") as refused:
        plain_keys(keys, "api_keys")
    assert "good" not in str(refused.value)


def test_a_key_is_out_at_the_threshold():
    """Two strikes of three leave a key in service, the third takes it out."""
    state = KeyState("some-key")
    for strikes in (1, 2, 3):
        assert state.is_valid(NOON)
        state.strike(NOON, 3, WINDOWS)
        assert state.count(NOON, 3) == strikes
    assert not state.is_valid(NOON)
    assert state.free_at(NOON) == math.inf


def test_a_struck_out_key_comes_back_after_its_steps():
    """Each time in a row takes the next step; a key restored by hand begins anew."""
    windows = Windows(Options(strike_recovery=(10, 60)))
    state = KeyState("some-key")
    now = NOON
    for wait in (10, 60, 60):
        state.strike(now, 1, windows)
        assert state.free_at(now + wait - 1) == now + wait
        now += wait
        assert state.free_at(now) == FREE
        assert state.count(now, 1) == 0
    state.restore()
    state.strike(now, 1, windows)
    assert state.free_at(now) == now + 10


def test_a_failure_while_out_starts_the_wait_again():
    """A late failure of a key that is out keeps it out as long again, and is no further step."""
    windows = Windows(Options(strike_recovery=(10, 60)))
    state = KeyState("some-key")
    state.strike(NOON, 1, windows)
    state.strike(NOON + 5, 1, windows)
    assert state.free_at(NOON + 5) == NOON + 15


def test_steps_are_forgotten_after_a_quiet_day():
    """A key that gave no trouble for a day begins with the first step."""
    windows = Windows(Options(strike_recovery=(10, 60), quota_recovery=(10, 60)))
    state, use = KeyState("some-key"), ModelUse(Limits(), windows)
    state.strike(NOON, 1, windows)
    use.mark(NOON, None, windows)
    later = NOON + 10 + 86_401
    state.strike(later, 1, windows)
    use.mark(later, None, windows)
    assert state.free_at(later) == use.mark_until == later + 10


def test_a_removed_key_shows_as_many_strikes_as_take_one_out():
    """Groups split at ``max_failures``, also for a key that 401 took out."""
    state = KeyState("some-key")
    state.removed_until = math.inf
    assert state.count(NOON, 3) == 3


def test_a_hold_ends_at_its_time():
    """A held key is free at the end of its hold, not before."""
    state = KeyState("some-key")
    state.hold = Hold(1, NOON + 30, None)
    assert state.free_at(NOON + 29.9) == NOON + 30
    assert state.free_at(NOON + 30) == FREE


def test_a_longer_mark_outlasts_a_shorter_one():
    """A 429 never shortens the mark of an earlier one."""
    use = ModelUse(Limits(), WINDOWS)
    use.mark(NOON, 300, WINDOWS)
    use.mark(NOON, None, WINDOWS)
    use.mark(NOON, 0, WINDOWS)
    assert use.mark_until == NOON + 300


def test_reservations_end_with_their_report_or_a_minute():
    """A request that was handed out counts until it is reported, and 60 seconds at most."""
    limits = Limits(rpm=2)
    use = ModelUse(limits, WINDOWS)
    use.reserve(NOON)
    use.reserve(NOON)
    assert use.free_at(NOON, limits, with_reserved=True) == NOON + 60
    assert use.unreserve(NOON)
    assert use.free_at(NOON, limits, with_reserved=True) == FREE
    use.reserve(NOON)
    assert use.free_at(NOON + 60, limits, with_reserved=True) == FREE
    assert not use.unreserve(NOON + 60)


def test_reservations_take_bounded_memory():
    """A caller that never reports costs an entry for each second of a minute at most."""
    use = ModelUse(Limits(rpm=1), WINDOWS)
    for number in range(10_000):
        use.reserve(NOON + number / 50)
    assert len(use.reservations) <= 201
    assert use.reserved(NOON + 200) <= 50 * 61
    assert len(use.reservations) <= 61


@pytest.mark.parametrize("limits", [Limits(rpm=0), Limits(tpm=0), Limits(rpd=0)], ids=["rpm", "tpm", "rpd"])
def test_a_closed_model_is_never_free(limits):
    """A limit of 0 is closed for good."""
    assert ModelUse(limits, WINDOWS).free_at(NOON, limits, with_reserved=True) == math.inf


def test_a_clock_set_back_keeps_every_wait_as_long_as_it_was():
    """What had ten seconds left has ten seconds left; what waits for a hand goes on waiting."""
    state = KeyState("some-key")
    state.struck_until, state.removed_until = NOON + 10, math.inf
    state.hold = Hold(1, NOON + 5, None)
    state.shift(NOON, NOON - 7_200)
    assert state.struck_until == NOON - 7_190
    assert state.removed_until == math.inf
    assert state.hold.until == NOON - 7_195


def test_pools_have_the_names_of_the_catalogue():
    """The two pools are called regular and vertex."""
    assert [str(Pool.of(vertex=vertex)) for vertex in (False, True)] == ["regular", "vertex"]
