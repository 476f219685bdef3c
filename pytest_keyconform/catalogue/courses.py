"""What a stream came to, as rules of streams look at it: its requests, its chunks, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_keyconform.catalogue.invariant import answer
from pytest_keyconform.catalogue.steps import step
from pytest_keyconform.model.linearize import Undecided
from pytest_keyconform.operation import Answered, Operation, Raised
from pytest_keyconform.workload import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.workload import Step

UNSEEN: Final = (
    "no request of its stream with a key of the pool reached the provider that the harness plays: "
    "it stands behind httpx, whatever the host, and sees no other client"
)
UNREADABLE: Final = "its stream passes nothing on of what the provider of the harness sends"


def stream(
    of: str,
    *upstream: str,
    read: int | None = None,
    leave: str = "close",
    model: object = DEFAULT_MODEL,
    pool: str = "regular",
    bad: bool = False,
) -> Step:
    """Read a stream whose provider answers by this script: to its end, or so many chunks before the consumer leaves."""
    lefts = leave if read is not None or leave != "close" else ...
    return step(
        "stream",
        model=model,
        pool=pool,
        of=of,
        upstream=upstream or ...,
        read=... if read is None else read,
        leave=lefts,
        bad=bad or ...,
    )


class Course:
    """One stream in a history: its requests with a key of the pool, and its chunks, in their order."""

    def __init__(self, history: History, operation: Operation) -> None:
        self.operation = operation
        mine = [one for one in history.operations if one.get("of") == operation.get("of")]
        pool = history.given.keys(str(operation.get("pool", "regular")))
        every = {*pool, *history.given.regular, *history.given.vertex}
        self.requests = [one for one in mine if one.name == "request" and one.get("key") in every]
        self.chunks = [one for one in mine if one.name == "chunk"]

    @property
    def ended(self) -> bool:
        """Whether the consumer saw a normal end."""
        return self.operation.value == "ended"

    def passed_before(self, operation: Operation) -> bool:
        """Tell whether anything was passed on before this was called."""
        return any(chunk.called < operation.called for chunk in self.chunks)

    def late(self) -> Iterator[Operation]:
        """Yield the requests that try again after output was passed on: with another key, or for the same once more."""
        for number, request in enumerate(self.requests):
            before = self.requests[:number]
            other = before and request.get("key") not in [one.get("key") for one in before]
            again = request.get("to") in [one.get("to") for one in before]
            if (other or again) and self.passed_before(request):
                yield request


def check_judgeable(history: History, courses: list[Course]) -> None:
    """Raise `Undecided` where the stream and the provider of the harness do not come together."""
    if not any(course.requests for course in courses):
        raise Undecided(UNSEEN)
    if any(one.get("of") is None for one in history.named("request")) and len(courses) > 1:
        raise Undecided("it cannot be told which of its streams a request of the backend belongs to")
    for course in courses:
        well = course.requests and all(isinstance(one.response, Answered) for one in course.requests)
        if well and isinstance(course.operation.response, Raised) and not course.operation.get("bad"):
            text = f"its stream cannot read what the provider of the harness sends: it {answer(course.operation)}"
            raise Undecided(text)
    if not any(course.chunks for course in courses):
        raise Undecided(UNREADABLE)
