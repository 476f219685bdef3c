"""STR01 to STR04: what is passed on of a stream, how it ends, and what is counted of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.consuming import TRIO, WHOLE, Course, Streaming, judgeable, stream
from pytest_keyconform.catalogue.invariant import answer, broken
from pytest_keyconform.catalogue.standing import ONE
from pytest_keyconform.operation import Raised, Skipped
from pytest_keyconform.workload import DEFAULT_MODEL, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation

UNKNOWN: Final = "unheard-of"


@final
class BrokenIsAnError(Streaming):
    """A stream that breaks ends in an error at its consumer, is recorded once, and is charged to its key alone.

    Why: half an answer that ends like a whole one is shown, stored and paid for, and nobody learns of it (002-C3).
    How it breaks: the loop over the chunks catches the error, logs it and returns; the call is reported by whoever
    comes first and again in ``finally``; the failure goes to the key that another stream has taken meanwhile.
    Fix: let the error out once it is reported, report in one place, and by the key of this very stream.
    """

    id = "STR01"
    overlap = True
    CONFORMING = (
        (
            "request(of=a, key=key-1, model=m1) -> raises RemoteProtocolError\nchunk(of=a)\n"
            "stream(of=a) -> raises RemoteProtocolError\n"
            'usage(key=key-1, model=m1) -> {"rpm": 1}\nfailures(key=key-1) -> 1\nfailures(key=key-2) -> 0'
        ),
        (
            "request(of=a, key=key-1, model=m1) -> raises RemoteProtocolError\n"
            "request(of=a, key=key-2, model=m1) -> whole\nchunk(of=a)\nstream(of=a) -> ended"
        ),
        (
            "policy error_usage=free\nrequest(of=a, key=key-1, model=m1) -> raises ReadError\nchunk(of=a)\n"
            'stream(of=a) -> raises typed Broken\nusage(key=key-1, model=m1) -> {"rpm": 0}'
        ),
    )
    VIOLATING = (
        "request(of=a, key=key-1, model=m1) -> raises ReadError\nchunk(of=a)\nstream(of=a) -> ended",
        (
            "request(of=a, key=key-1, model=m1) -> raises ReadError\nchunk(of=a)\n"
            "request(of=a, key=key-1, model=m1) -> whole\nchunk(of=a)\nstream(of=a) -> ended"
        ),
        (
            "request(of=a, key=key-1, model=m1) -> raises ReadError\nchunk(of=a)\nstream(of=a) -> raises ReadError\n"
            'usage(key=key-1, model=m1) -> {"rpm": 2}'
        ),
        (
            "request(of=a, key=key-1, model=m1) -> raises ReadError\nchunk(of=a)\nstream(of=a) -> raises ReadError\n"
            'usage(key=key-1, model=m1) -> {"rpm": 0}'
        ),
        (
            "request(of=a, key=key-1, model=m1) -> raises ReadError\nchunk(of=a)\nstream(of=a) -> raises ReadError\n"
            "failures(key=key-1) -> 0"
        ),
        (
            "request(of=a, key=key-1, model=m1) -> raises ReadError\nchunk(of=a)\nstream(of=a) -> raises ReadError\n"
            "failures(key=key-2) -> 1"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """A stream that breaks in each way and place; after a refusal; as often as a key bears it; beside another."""
        for line in ("breaks 1", "breaks 2", "breaks 3", "breaks 0", "resets 1", "late 1", "resets 0"):
            yield self.played(line.replace(" ", "-"), stream("a", line))
        yield self.played("limited", stream("a", "429", "breaks 1"))
        yield self.played("refused", stream("a", "401", "breaks 2"))
        yield self.played("twice", stream("a", "breaks 1"), stream("b", "resets 2"))
        worn = (stream(f"a{number}", "breaks 1") for number in range(ONE.max_failures))
        yield self.played("worn", *worn, given=ONE)
        yield self.played("vertex", stream("a", "breaks 1", pool="vertex"), pool="vertex")
        for name, other in (("beside", "ok"), ("both", "resets 2")):
            clients = ((stream("a", "breaks 1"),), (stream("b", other),))
            yield Workload(name=name, given=TRIO, clients=clients, finale=self.after(TRIO))

    def wrong(self, course: Course) -> Iterator[Violation]:
        """Look for a normal end of what broke; another try before any output was passed on is none."""
        for number, request in enumerate(course.requests if course.ended else ()):
            lost = isinstance(request.response, Raised) and not request.response.message[:3].isdigit()
            following = course.requests[number + 1 : number + 2]
            if lost and not (following and not course.passed_before(following[0])):
                yield broken(course.operation, f"an error: {answer(request)}", "a broken stream ends like a whole one")
                return


@final
class LeavingIsCounted(Streaming):
    """A consumer that leaves, or is cancelled, leaves the count right, no failure, and the lease released.

    Why: users close the tab in the middle of an answer, all day long; each may take a key along with it (002-C3).
    How it breaks: the report and the release stand behind the loop, where an abandoned generator never comes; a
    cancellation is caught like a failure, and charged to the key.
    Fix: release in ``finally``, report there what was used, and tell leaving from failing.
    """

    id = "STR02"
    CONFORMING = (
        (
            "request(of=a, key=key-1, model=m1) -> left\nchunk(of=a)\nstream(of=a, read=1) -> left\n"
            'usage(key=key-1, model=m1) -> {"rpm": 1}\nfailures(key=key-1) -> 0\nacquire(model=m1) -> key-2'
        ),
        (
            "request(of=b, key=key-2, model=m1) -> whole\nchunk(of=b)\nstream(of=b) -> ended\n"
            "request(of=a, key=key-1, model=m1) -> unread\nstream(of=a, leave=cancel) -> left\n"
            'usage(key=key-1, model=m1) -> {"rpm": 0}'
        ),
        (
            "policy tenure=lease\ngiven regular=key-1\nrequest(of=a, key=key-1, model=m1) -> left\nchunk(of=a)\n"
            "stream(of=a, read=1) -> left\nacquire(model=m1) -> key-1"
        ),
    )
    VIOLATING = (
        (
            "request(of=a, key=key-1, model=m1) -> left\nchunk(of=a)\nstream(of=a, read=1) -> left\n"
            'usage(key=key-1, model=m1) -> {"rpm": 0}'
        ),
        (
            "request(of=a, key=key-1, model=m1) -> left\nchunk(of=a)\nstream(of=a, read=1) -> left\n"
            'usage(key=key-1, model=m1) -> {"rpm": 2}'
        ),
        (
            "policy tenure=lease\ngiven regular=key-1\nrequest(of=a, key=key-1, model=m1) -> left\nchunk(of=a)\n"
            'stream(of=a, read=1) -> left\nacquire(model=m1) -> ""'
        ),
        (
            "request(of=a, key=key-1, model=m1) -> left\nchunk(of=a)\nstream(of=a, leave=cancel) -> left\n"
            "failures(key=key-1) -> 1"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Each way to leave, before the first chunk and behind it; after a refusal; again and again; beside another."""
        ways = [("close", number) for number in range(3)]
        ways += [("drop", 1), ("drop", 2)] if self.claims.is_async else []
        for leave, read in ways:
            yield self.played(f"{leave}-{read}", stream("a", read=read, leave=leave), counted=read > 0)
        silent = (("hang",), ("stalls 1",), ("stalls 2",), ("429", "stalls 1"))
        for script in silent if self.claims.is_async else ():
            name = f"cancel-{'-'.join(script)}".replace(" ", "-")
            yield self.played(name, stream("a", *script, leave="cancel"))
        yield self.played("limited", stream("a", "429", "ok", read=1))
        often = (stream(f"a{number}", read=1) for number in range(ONE.max_failures))
        yield self.played("often", *often, given=ONE)
        yield self.played("vertex", stream("a", read=1, pool="vertex"), pool="vertex")
        clients = ((stream("a", read=1),), (stream("b"),))
        yield Workload(name="beside", given=TRIO, clients=clients, finale=self.after(TRIO))


@final
class NoSecondKey(Streaming):
    """No second key is tried once output was passed on.

    Why: a second answer behind half of the first one is read as one text; nobody can take back what was shown (002-C3).
    How it breaks: the loop that tries one key after the other stands around the loop over the chunks.
    Fix: try other keys until the first chunk has come; from then on let the error out.
    """

    id = "STR03"
    CONFORMING = (
        (
            "request(of=a, key=key-1) -> raises HTTPStatusError\nrequest(of=a, key=key-2) -> raises ReadError\n"
            "chunk(of=a)\nstream(of=a) -> raises ReadError"
        ),
    )
    VIOLATING = (
        (
            "request(of=a, key=key-1) -> raises ReadError\nchunk(of=a)\nrequest(of=a, key=key-2) -> whole\n"
            "stream(of=a) -> ended"
        ),
        (
            "request(of=a, key=key-1) -> raises ReadError\nchunk(of=a)\nrequest(of=a, key=key-2) -> raises ReadError\n"
            "stream(of=a) -> raises ReadError"
        ),
        (
            "request(of=a, key=key-1, to=POST x/y) -> raises ReadError\nchunk(of=a)\n"
            "request(of=a, key=key-1, to=POST x/y) -> whole\nchunk(of=a)\nstream(of=a) -> ended"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """A stream that breaks behind its first chunk, in each way, while every other key would answer."""
        for line in ("breaks 1", "breaks 2", "resets 1", "late 1", "breaks 3"):
            yield Workload(name=line.replace(" ", "-"), given=TRIO, setup=(WHOLE, stream("a", line)))
        yield Workload(name="limited", given=TRIO, setup=(WHOLE, stream("a", "429", "breaks 1")))
        yield Workload(name="all", given=TRIO, setup=(WHOLE, stream("a", *("breaks 1",) * 9)))
        pair = (stream("whole", pool="vertex"), stream("a", "breaks 1", pool="vertex"))
        yield Workload(name="vertex", given=TRIO, setup=pair)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for requests behind output; what is counted is told by other rules."""
        courses = [Course(history, one) for one in history.named("stream") if not isinstance(one.response, Skipped)]
        if courses:
            judgeable(history, courses)
        for course in courses:
            for request in course.late():
                yield broken(request, "no further request: output was passed on", "a second key is tried after output")


@final
class BadInputIsRefused(Streaming):
    """Bad input is refused before the first chunk, before anything is counted, and before the provider is asked.

    Why: a mistake of the caller's that is noticed late has cost a request, a key, or half an answer (002-C3).
    How it breaks: the model is looked at as the chunks are read, or by the provider, once a key was taken.
    Fix: check what was given before the first await, and take a key after it.
    """

    id = "STR04"
    CONFORMING = (
        (
            "request(of=whole, key=key-1, model=m1) -> whole\nchunk(of=whole)\nstream(of=whole, model=m1) -> ended\n"
            "stream(of=a, model=7, bad=True) -> raises typed TypeError\n"
            'usage(key=key-1, model=m1) -> {"rpm": 1}\nusage(key=key-2, model=m1) -> {"rpm": 0}'
        ),
        (  # no name of a model: the default one
            "request(of=whole, key=key-1, model=m1) -> whole\nchunk(of=whole)\nstream(of=whole, model=m1) -> ended\n"
            "request(of=a, key=key-2, model=7, named=m1) -> whole\nchunk(of=a)\n"
            "stream(of=a, model=7, bad=True) -> ended\n"
            'usage(key=key-2, model=m1) -> {"rpm": 1}'
        ),
    )
    VIOLATING = (
        (
            "request(of=whole, key=key-1, model=m1) -> whole\nchunk(of=whole)\nstream(of=whole, model=m1) -> ended\n"
            "stream(of=a, model=7, bad=True) -> raises typed TypeError\n"
            'usage(key=key-2, model=m1) -> {"rpm": 1}'
        ),
        (
            "request(of=whole, key=key-1, model=m1) -> whole\nchunk(of=whole)\nstream(of=whole, model=m1) -> ended\n"
            "request(of=a, key=key-2, model=7) -> unread\nstream(of=a, model=7, bad=True) -> raises typed TypeError"
        ),
        (
            "request(of=whole, key=key-1, model=m1) -> whole\nchunk(of=whole)\nstream(of=whole, model=m1) -> ended\n"
            "chunk(of=a)\nstream(of=a, model=7, bad=True) -> raises typed TypeError"
        ),
        (
            "policy unknown_model=reject\nrequest(of=whole, key=key-1, model=m1) -> whole\nchunk(of=whole)\n"
            "stream(of=whole, model=m1) -> ended\nrequest(of=a, key=key-2, model=unheard-of) -> whole\nchunk(of=a)\n"
            "stream(of=a, model=unheard-of, bad=True) -> ended"
        ),
        (
            "request(of=whole, key=key-1, model=m1) -> whole\nchunk(of=whole)\nstream(of=whole, model=m1) -> ended\n"
            "request(of=a, key=key-2, model=7, named=7) -> whole\nchunk(of=a)\nstream(of=a, model=7, bad=True) -> ended"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """A number and a list in the place of the model; under ``reject`` a name that nobody knows."""
        reject = self.policies.unknown_model == "reject"
        for name, model in (*((("unknown", UNKNOWN),) if reject else ()), ("number", 7), ("list", ("m1",))):
            yield self.played(name, stream("a", model=model, bad=True))

    def wrong(self, course: Course) -> Iterator[Violation]:
        """Look for output, and for a request; who takes what is no name for none at all refuses nothing."""
        operation = course.operation
        if not operation.get("bad") or not self.countable(course):
            return
        if operation.value == "ended":
            yield broken(operation, "a refusal: the input is bad", "a stream takes bad input")
        for request in course.requests[:1]:
            yield broken(request, "no request: the input is bad", "the provider is asked with bad input")
        for chunk in course.chunks[:1]:
            yield broken(chunk, "a refusal before the first chunk", "bad input is refused behind a chunk")

    def countable(self, course: Course) -> bool:
        """Tell whether no default model was meant: what was served, and the provider got no other name for it."""
        operation = course.operation
        if isinstance(operation.get("model"), str) or isinstance(operation.response, Raised):
            return True
        return any(one.get("named", "") not in ("", DEFAULT_MODEL) for one in course.requests)
