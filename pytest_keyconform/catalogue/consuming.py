"""What the rules about streams share: steps, one stream as a history shows it, and what is read afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, answer
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import misstated
from pytest_keyconform.catalogue.steps import acquire, failures, is_valid, status, step, usage
from pytest_keyconform.model.linearize import Undecided
from pytest_keyconform.operation import Answered, Operation, Raised, Skipped
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

TRIO: Final = Given()
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


WHOLE: Final = stream("whole")


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


class Streaming(Invariant, shared=True):
    """What the rules share: a stream that is read whole, another one, and what is then said and served."""

    audits: ClassVar[tuple[str, ...]] = ("002-C3",)
    requires: ClassVar[tuple[str, ...]] = ("stream",)
    unhindered: ClassVar[bool] = True

    def played(
        self, name: str, *steps: Step, given: Given = TRIO, pool: str = "regular", counted: bool = True
    ) -> Workload:
        """Answer the steps behind one stream that is read whole, then everything there is to read, and acquires.

        Not ``counted``: it is left open whether what was done counts.
        """
        before = stream("whole", pool=pool)
        finale = tuple(one for one in self.after(given, pool=pool) if counted or one.name != "usage")
        return Workload(name=name, given=given, setup=(before, *steps), finale=finale)

    def after(self, given: Given, *, pool: str = "regular") -> tuple[Step, ...]:
        """Read what there is to read of the keys, and ask for one; under leases for all of them."""
        keys = given.keys(pool)
        reads = [
            read
            for key in keys
            for read in (usage(key, pool=pool, optional=True), is_valid(key, pool=pool), failures(key, pool=pool))
        ]
        asks = len(keys) if self.policies.tenure == "lease" else 1
        asked = (acquire(f"z{number}", pool=pool, optional=True) for number in range(asks))
        return (*reads, status(pool=pool), *asked)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a count, a view or a key that does not follow from what the streams came to."""
        if moment.name == "acquire":
            return unusable_served(moment) or nothing_served(moment)
        return wrong_usage(moment) if moment.name == "usage" else misstated(moment)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at each stream, and then at what is counted."""
        courses = [Course(history, one) for one in history.named("stream") if not isinstance(one.response, Skipped)]
        if not courses:
            return
        judgeable(history, courses)
        for course in courses:
            yield from self.wrong(course)
        if all(self.countable(course) for course in courses):
            yield from self.disorder(history)

    def countable(self, course: Course) -> bool:
        """Tell whether it is certain what is counted: one key asked with twice before any output may be one call."""
        return not any(one.get("again") and not course.passed_before(one) for one in course.requests)

    def wrong(self, course: Course) -> Iterator[Violation]:
        """Yield what breaks the promise within one stream."""
        del course
        yield from ()


def judgeable(history: History, courses: list[Course]) -> None:
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
