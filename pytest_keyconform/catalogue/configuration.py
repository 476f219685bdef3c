"""CFG and FMT10: names of settings, in whatever casing, and which of them are secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.steps import state, step
from pytest_keyconform.operation import Answered
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

SECRETS: Final = (
    "apiKey",
    "API_KEY",
    "api_key",
    "ApiKey",
    "apikey",
    "openai_api_key",
    "OPENAI_API_KEY",
    "openaiApiKey",
)
PLAIN: Final = ("max_retries", "maxRetries", "model", "timeout")
COLLIDING: Final = (
    ("maxRetries", "max_retries"),
    ("max_failures", "maxFailures"),
    ("maxRPM", "max_rpm"),
    ("api_url", "apiURL"),
    ("APIKey", "api_key"),
    ("HTTPTimeoutS", "http_timeout_s"),
)
FIELDS: Final = frozenset({"max_retries", "max_failures"})
_BETWEEN: Final = re.compile(r"[\W_]+")
_MIXED: Final = re.compile(r"[a-z0-9][A-Z]")


def canonical(name: object) -> str:
    """Answer the letters of a name without its casing: ``maxRPM``, ``max_rpm`` and ``max_r_p_m`` are one."""
    return _BETWEEN.sub("", str(name)).lower()


@final
class OneSettingForEachName(Invariant):
    """Settings equal after canonicalisation become one; the newest wins; doing it again changes nothing.

    Why: old rows hold both casings; whichever is read first wins, and updates of the other are lost (001-1, 001-2).
    How it breaks: each capital becomes an underscore and a letter, so that acronyms fall apart; the first one is kept.
    Fix: canonicalise by words, go through the settings from the oldest to the newest, and keep the last of each name.
    """

    id = "CFG01"
    audits = ("001-1", "001-2")
    requires = ("configure",)
    subject = ("configure",)
    CONFORMING = (
        'configure(settings={"apiKey": 1, "api_key": 2}) -> {"api_key": 2}',
        'configure(settings={"api_key": 2, "apiKey": 1}) -> {"apiKey": 1}',
        'configure(settings={"max_rpm": 2, "model": 3}) -> {"max_rpm": 2, "model": 3, "timeout": 5}',
    )
    VIOLATING = (
        'configure(settings={"apiKey": 1, "api_key": 2}) -> {"apiKey": 1, "api_key": 2}',
        'configure(settings={"apiKey": 1, "api_key": 2}) -> {"api_key": 1}',
        'configure(settings={"api_key": 2}) -> {}',
        'configure(settings={"maxRPM": 1, "max_rpm": 2}) -> {"max_r_p_m": 1, "max_rpm": 2}',
        'configure(settings={"a": 1}) -> {"a": 1}\nconfigure(settings={"a": 1}) -> {"a": 1, "b": 2}',
        'configure(settings={"a": 1}) -> None',
    )

    def workloads(self) -> Iterator[Workload]:
        """Two casings of one name in one call, in both orders and twice over; in two calls; names that differ.

        Names that are no field of a pool may be refused with a typed error.
        """
        for old, new in COLLIDING:
            strange = ... if {old, new} & FIELDS else True

            def told(strange: object = strange, **settings: int) -> Step:
                return step("configure", settings=settings, bad=strange)

            yield Workload(name=f"{old}-{new}", given=Given(), setup=(told(**{old: 3, new: 5}),) * 2)
            yield Workload(name=f"{new}-{old}", given=Given(), setup=(told(**{new: 3, old: 5}),) * 2)
            later = (told(**{old: 3}), told(**{new: 5}))
            yield Workload(name=f"{old}-then-{new}", given=Given(), setup=later)
        apart = {"maxRetries": 3, "max_failures": 5}
        yield Workload(name="apart", given=Given(), setup=(step("configure", settings=apart),) * 2)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for each name once with its newest value, and compare equal calls that follow each other."""
        yield from self.accidents(history)
        before: Operation | None = None
        for operation in history.named("configure"):
            if not isinstance(operation.response, Answered):
                continue
            wrong = _misread(operation)
            if wrong:
                yield broken(operation, wrong, "configure does not make one setting of each name")
            elif before is not None and before.invocation == operation.invocation and before.value != operation.value:
                yield broken(operation, "the same as before", "configure changes something when done again")
            before = operation


def _misread(operation: Operation) -> str:
    """Say what was to be expected where names or values are not as they should be; "" where they are."""
    asked, told = operation.get("settings"), operation.value
    wanted = {canonical(name): value for name, value in asked.items()} if isinstance(asked, dict) else {}
    if not isinstance(told, dict):
        return "a dict of settings"
    found = [(canonical(name), value) for name, value in told.items()]
    for name, value in wanted.items():
        held = [other for one, other in found if one == name]
        if held != [value]:
            return f"{name} once, as {value!r}"
    return ""


@final
class OneCasing(Invariant):
    """Exported JSON keeps one casing, and both casings are read.

    Why: a front end reads ``maxRpm`` in one row and ``max_rpm`` in the next, and one is empty (001-5, 001-2).
    How it breaks: names are passed on as they came; one part of the answer is written by hand in another casing.
    Fix: canonicalise what comes in, and write everything that goes out in one casing.
    """

    id = "FMT10"
    level = "should"
    audits = ("001-5", "001-2")
    requires = ("state|configure",)
    subject = ("configure",)
    CONFORMING = (
        'configure(settings={"max_retries": 5}) -> {"max_retries": 5, "model": 1}',
        'configure(settings={"maxRetries": 5}) -> {"maxRetries": 5, "maxFailures": 1}',
        'state() -> {"summary": {"total_keys": 1}}',
    )
    VIOLATING = (
        'configure(settings={"maxRetries": 5, "max_failures": 2}) -> {"maxRetries": 5, "max_failures": 2}',
        'configure(settings={"maxRetries": 5}) -> {"max_retries": 3}',
        'state() -> {"summary": {"total_keys": 1, "totalModels": 2}}',
        'configure(settings={"maxRetries": 5}) -> {"maxRetries": 5}\n'
        'configure(settings={"max_retries": 5}) -> {"max_retries": 5}',
    )

    def workloads(self) -> Iterator[Workload]:
        """The state as it is exported; settings in one casing, in the other, and in both."""
        yield Workload(name="state", given=Given(), setup=(*self.taking("a"), step("state")))
        camel, snake = {"maxRetries": 5, "maxFailures": 2}, {"max_retries": 5, "max_failures": 2}
        for name, settings in (("camel", camel), ("snake", snake), ("mixed", {"maxRetries": 5, "max_failures": 2})):
            yield Workload(name=name, given=Given(), setup=(step("configure", settings=settings), state()))
        both = (step("configure", settings=camel), step("configure", settings=snake))
        yield Workload(name="both", given=Given(), setup=both)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for a second casing among all names that were exported, and for a setting that was not read."""
        yield from self.accidents(history)
        casings: dict[str, str] = {}
        models = {model for model, _ in history.given.limits}
        for operation in history.named("state", "configure"):
            if operation.name == "configure" and isinstance(operation.response, Answered) and _misread(operation):
                yield broken(operation, _misread(operation), "a casing is not read")
            for name in _names(operation.value):
                casing = "camelCase" if _MIXED.search(name) else "snake_case" if "_" in name else ""
                if not casing or name in models:
                    continue
                casings.setdefault(operation.name, casing)
                if casings[operation.name] != casing:
                    yield broken(operation, f"{casings[operation.name]} throughout, not {name}", "two casings")
                    return


def _names(value: object) -> Iterator[str]:
    """Yield the names in an answer, at any depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield str(name)
            yield from _names(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _names(item)


@final
class SecretUnderAnyCasing(Invariant):
    """Secrets are recognised under any casing.

    Why: what is not taken for a secret is written into logs and exports (001-9).
    How it breaks: a list of names in one casing.
    Fix: canonicalise the name first, and compare its words.
    """

    id = "CFG02"
    audits = ("001-9",)
    requires = ("is_secret",)
    subject = ("is_secret",)
    CONFORMING = ("is_secret(name=apiKey) -> True", "is_secret(name=max_retries) -> False")
    VIOLATING = ("is_secret(name=API_KEY) -> False", "is_secret(name=max_retries) -> True", "is_secret(name=a) -> None")

    def workloads(self) -> Iterator[Workload]:
        """The spellings of a key's name, and names that are no secrets."""
        for name in (*SECRETS, *PLAIN):
            yield Workload(name=name, given=Given(), setup=(step("is_secret", name=name),))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at each answer."""
        yield from self.accidents(history)
        for operation in history.named("is_secret"):
            wanted = str(operation.get("name")) in SECRETS
            if isinstance(operation.response, Answered) and operation.value is not wanted:
                yield broken(
                    operation, str(wanted), "a secret is not recognised" if wanted else "no secret is taken for one"
                )
