"""The provider behind the keys, as plain state."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from pytest_keyconform.upstream import Answer, Provider, numbered
from pytest_keyconform.workload import Limits

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
KEYS = {"a": "key-1", "b": "key-2"}


class Time:
    """A clock that a test moves."""

    def __init__(self, at=NOON):
        self.at = at

    def __call__(self):
        return self.at


@pytest.fixture
def now():
    """Answer a clock at noon."""
    return Time()


def statuses(provider, key, times, model="m1", **more):
    """Ask so many times; answer the statuses."""
    return [provider.ask(key, model, **more).status for _ in range(times)]


def test_limits_are_those_of_one_key_and_model(now):
    """A key that has nothing left for a model is answered 429; another key and another model are not."""
    provider = Provider(KEYS, {"m1": Limits(rpm=2), "m2": Limits(rpm=2)}, now=now)
    assert statuses(provider, "a", 3) == [200, 200, 429]
    assert statuses(provider, "b", 1) == statuses(provider, "a", 1, "m2") == statuses(provider, "a", 1, "m3") == [200]
    assert [(seen.key, seen.model) for seen in provider.over] == [("key-1", "m1")]
    assert provider.requests == {"key-1": 5, "key-2": 1}


def test_a_closed_model_admits_nothing(now):
    """A limit of 0 is closed."""
    assert statuses(Provider(KEYS, {"m1": Limits(rpm=0)}, now=now), "a", 1) == [429]


def test_the_last_tokens_may_go_over(now):
    """A request is admitted as long as any token is left, and refused then."""
    provider = Provider(KEYS, {"m1": Limits(tpm=10)}, now=now)
    assert statuses(provider, "a", 3, tokens=9) == [200, 200, 429]
    assert provider.used("key-1", "m1") == (2, 18, 2)


def test_a_fixed_minute_ends_at_the_minute(now):
    """The aligned minute frees its requests at its end, and a 429 tells in how many seconds that is."""
    provider = Provider(KEYS, {"m1": Limits(rpm=1)}, now=now)
    now.at += 50
    assert statuses(provider, "a", 1) == [200]
    assert provider.ask("a", "m1") == Answer(status=429, retry_after=10.0)
    now.at += 10
    assert statuses(provider, "a", 1) == [200]


def test_a_rolling_minute_ends_a_minute_later(now):
    """The rolling minute frees each request sixty seconds after it came."""
    provider = Provider(KEYS, {"m1": Limits(rpm=1)}, now=now, window="rolling")
    now.at += 50
    assert statuses(provider, "a", 1) == [200]
    assert provider.ask("a", "m1").retry_after == 60.0
    now.at += 59.5
    assert provider.ask("a", "m1") == Answer(status=429, retry_after=1.0)
    now.at += 0.5
    assert statuses(provider, "a", 1) == [200]


@pytest.mark.parametrize(
    "begin, hours",
    [("2026-03-07T23:00", 1), ("2026-03-08", 23), ("2026-11-01", 25)],
    ids=["usual", "short", "long"],
)
def test_the_day_ends_at_midnight_of_its_zone(now, begin, hours):
    """Requests a day are free at the zone's midnight, also on the days that DST makes shorter or longer."""
    provider = Provider(KEYS, {"m1": Limits(rpd=1)}, now=now)
    now.at = datetime.fromisoformat(begin).replace(tzinfo=ZoneInfo("America/Los_Angeles")).timestamp()
    assert statuses(provider, "a", 1) == [200]
    now.at += 61
    assert provider.ask("a", "m1").retry_after == hours * 3600 - 61
    now.at += hours * 3600 - 62
    assert statuses(provider, "a", 1) == [429]
    now.at += 1
    assert statuses(provider, "a", 1) == [200]


def test_a_provider_may_keep_to_itself_when_to_come_back(now):
    """Told so, a provider answers 429 without a time."""
    provider = Provider(KEYS, {"m1": Limits(rpm=0)}, now=now, tells=False)
    assert provider.ask("a", "m1") == Answer(status=429)


def test_what_is_lined_up_is_answered_once(now):
    """`will` answers the next requests: first those of this key, then whatever comes; `always` stands behind it."""
    provider = Provider(KEYS, now=now)
    provider.will(Answer(status=500), Answer(status=403), key="key-1")
    provider.will(Answer(status=503))
    assert statuses(provider, "b", 2) == [503, 200]
    assert statuses(provider, "a", 3) == [500, 403, 200]
    provider.always(Answer(status=401), key="key-1")
    assert (statuses(provider, "a", 2), statuses(provider, "b", 1)) == ([401, 401], [200])
    provider.always(None, key="key-1")
    assert statuses(provider, "a", 1) == [200]


def test_what_fails_costs_nothing_and_what_is_lost_does(now):
    """An error is free at the provider; an answer that is lost on the way was given, and counts."""
    provider = Provider(KEYS, {"m1": Limits(rpm=9)}, now=now)
    lost = (Answer(hangs=True), Answer(breaks_after=1))
    provider.will(Answer(status=500), *lost)
    statuses(provider, "a", 3)
    assert provider.used("key-1", "m1") == (2, 2, 2)
    assert [answer.whole for answer in (Answer(), Answer(status=500), *lost)] == [True, False, False, False]


def test_a_stranger_is_refused_and_not_named(now):
    """A key of nobody is answered 401 and seen without being kept; nothing shows a key."""
    provider = Provider(KEYS, now=now)
    assert statuses(provider, "secret", 1) == [401]
    assert provider.requests == {"stranger": 1}
    assert "secret" not in f"{provider.seen}{provider!r}"


def test_keys_are_named_by_their_numbers(now):
    """Who names a key by anything but its number is told the numbers, and not what was said: it may be a key."""
    with pytest.raises(ValueError, match=r"expected the number of a key \(key-1, key-2\)") as told:
        Provider(KEYS, now=now).will(Answer(), key="secret")
    assert "secret" not in str(told.value)
    assert numbered(key=("a", "b", "a"), vertex=("a", "c")) == {"a": "key-1", "b": "key-2", "c": "vertex-2"}


def test_what_is_over_is_forgotten(now):
    """A provider that is asked for days keeps the spending of one day."""
    provider = Provider(KEYS, {"m1": Limits(rpd=5000)}, now=now)
    for _ in range(4000):
        provider.ask("a", "m1")
        now.at += 600
    assert len(provider._spent["key-1", "m1"]) < 200
