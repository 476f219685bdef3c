"""LIVE08 and LIVE09: operations that few managers have."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.steps import step
from pytest_keyconform.operation import Answered
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation


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
class LayersOneAtATime(Invariant):
    """Fallback layers advance one at a time, skipping none.

    Why: two requests that fail on the same layer push past the next one, which nobody has tried (004-8).
    How it breaks: the index is raised, something is awaited, and it is read for the answer; each failure adds its own.
    Fix: raise and read in one step, and let those that saw the same layer fail advance it once.
    """

    id = "LIVE09"
    level = "should"
    audits = ("004-8",)
    requires = ("advance_layer",)
    subject = ("advance_layer",)
    overlap = True
    CONFORMING = (
        "advance_layer() -> 1\n| advance_layer() -> 2\n| advance_layer() -> 3",
        "advance_layer() -> 1\n| advance_layer() -> 2\n| advance_layer() -> 2\nadvance_layer() -> 3",
        "advance_layer() -> 1\nadvance_layer() -> 2\nadvance_layer() -> 0",
    )
    VIOLATING = (
        "advance_layer() -> 1\n| advance_layer() -> 3\n| advance_layer() -> 3",
        "advance_layer() -> 1\nadvance_layer() -> 3",
        "advance_layer() -> raises IndexError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Advanced one after the other, and by two and three at once."""
        one = step("advance_layer")
        yield Workload(name="alone", given=Given(), setup=(one,) * 4)
        for count in (2, 3):
            yield Workload(name=f"at-once-{count}", given=Given(), clients=((one,),) * count, finale=(one,))
            yield Workload(name=f"then-{count}", given=Given(), setup=(one,), clients=((one,),) * count)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for a layer that was answered while nobody had been answered the one before it."""
        yield from self.accidents(history)
        calls = [op for op in history.named("advance_layer") if _is_index(op.value)]
        for operation in calls:
            others = {op.value for op in calls if operation.returned is None or op.called < operation.returned}
            index = int(str(operation.value))
            first = not any(op.precedes(operation) for op in calls) and index <= 1  # of those from 0 or from 1
            if not first and index > 0 and index - 1 not in others and index > min(map(int, map(str, others))):
                yield broken(operation, f"at most the layer after one that was answered, not {index}", "skips a layer")


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
