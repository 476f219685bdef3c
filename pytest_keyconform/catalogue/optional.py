"""LIVE08 and CFG02: operations that few managers have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.steps import step
from pytest_keyconform.operation import Answered
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation

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


@final
class BulkAttemptsAll(Invariant):
    """A bulk operation attempts all and reports every error.

    Why: a check of all keys that stops at the first bad one says nothing of the others (004-5).
    How it breaks: the first error ends the loop; only the last one is kept; errors are swallowed.
    Fix: gather with ``return_exceptions=True``, and answer each key with its error or None.
    """

    id = "LIVE08"
    audits = ("004-5",)
    requires = ("bulk",)
    subject = ("bulk",)
    CONFORMING = ("bulk(keys=key-1;stranger-1) -> {'key-1': None, 'stranger-1': 'unknown'}",)
    VIOLATING = (
        "bulk(keys=stranger-1;key-1) -> {'stranger-1': 'unknown'}",
        "bulk(keys=key-1;stranger-1) -> {'key-1': None, 'stranger-1': None}",
        "bulk(keys=stranger-1;key-1) -> raises KeyError",
        "bulk(keys=key-1;) -> None",
    )

    def workloads(self) -> Iterator[Workload]:
        """Two keys that fail, first, last and between those that do not."""
        good, bad = ("key-1", "key-2", "key-3"), ("stranger-1", "stranger-2")
        for name, keys in (("first", (*bad, *good)), ("last", (*good, *bad)), ("between", (good[0], *bad, *good[1:]))):
            yield Workload(name=name, given=Given(), setup=(step("bulk", keys=keys),))
        yield Workload(name="good", given=Given(), setup=(step("bulk", keys=good),))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for every key in the answer, each stranger with an error and each other one without."""
        yield from self.accidents(history)
        for operation in history.named("bulk"):
            if not isinstance(operation.response, Answered):
                continue
            keys, told = operation.get("keys"), operation.value
            asked = [str(key) for key in keys] if isinstance(keys, list | tuple) else []
            wrong = asked if not isinstance(told, dict) else [key for key in asked if not _told(key, told)]
            if wrong:
                expected = f"{', '.join(wrong)}: {'an error' if wrong[0].startswith('stranger') else 'None'}"
                yield broken(operation, expected, "bulk leaves a key or an error out")


def _told(key: str, told: dict[object, object]) -> bool:
    return key in told and (told[key] is not None) == key.startswith("stranger")


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
