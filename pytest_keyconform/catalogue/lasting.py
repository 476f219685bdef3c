"""DUR05 and DUR10: a state that is torn, and what a restart keeps beside the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.durability import COUNTED
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import reported
from pytest_keyconform.catalogue.serving import validity
from pytest_keyconform.catalogue.standing import PAIR, asks, hurt
from pytest_keyconform.catalogue.steps import failures, is_valid, record, restart, status, step, usage
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Answered
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation

TEARS = ("half", "garbled", "empty")


@final
class TornIsNoticed(Invariant):
    """A torn or garbled state file is noticed: the last complete state is used, or a typed error says so.

    Why: a disk that was full leaves half a file, and a manager that takes it for none spends every quota again (004-9).
    How it breaks: what cannot be read is taken for nothing; the error of the parser is let through.
    Fix: write a new file and rename it, keep the one before, check a digest, and raise an error of one's own.
    """

    id = "DUR05"
    level = "should"
    audits = ("004-9",)
    requires = ("record", "usage")
    stored = True
    unhindered = True
    applies: ClassVar = COUNTED
    CONFORMING = (
        "record(lease=key-1, tokens=5) -> True\nrestart(tear=half) -> raises typed Torn",
        'record(lease=key-1, tokens=5) -> True\nrestart(tear=half)\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        'record(lease=key-1, tokens=5) -> True\nrestart(tear=half)\nusage(key=key-1) -> {"rpm": 0, "tpm": 5}',
    )
    VIOLATING = (
        "record(lease=key-1, tokens=5) -> True\nrestart(tear=half) -> raises JSONDecodeError",
        'record(lease=key-1, tokens=5) -> True\nrestart(tear=half)\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
    )

    def workloads(self) -> Iterator[Workload]:
        """Each file of the storage cut to half, overwritten, and emptied, while the manager is down."""
        told = reported(self, [("key-1", lambda lease: record(lease, tokens=5))])
        for tear in TEARS:
            torn = (*told, usage("key-1"), step("restart", tear=tear), usage("key-1"))
            yield Workload(name=tear, given=Given(), setup=torn)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at how it was opened, and what it then says was used."""
        recorded = any(op.value is True for op in history.named("record"))
        torn = next((op for op in history.named("restart") if op.get("tear")), None)
        if torn is None:
            return
        after = next((op for op in history.named("usage") if torn.precedes(op)), None)
        for operation in (torn, after):
            if operation is not None and operation.undeclared:
                yield broken(operation, "the last state, or a typed error", "a torn state raises an accident")
                return
        opened = isinstance(torn.response, Answered) and after is not None and isinstance(after.response, Answered)
        if recorded and opened and after is not None and not _counted(after.value):
            yield broken(after, "what was recorded, or a typed error", "a torn state is taken for none")


def _counted(usage: object) -> bool:
    """Tell whether a usage counts anything: a report may add tokens alone, where an acquire counts the request."""
    return isinstance(usage, dict) and any(usage.get(name) for name in ("rpm", "tpm", "rpd"))


@final
class OutIsKept(Invariant):
    """Failure counts, keys taken out and 429 marks survive a restart too.

    Why: after each deployment the key that was refused is tried again by every instance (000-13).
    How it breaks: counts are stored, and what keeps a key out is not.
    Fix: store strikes, bans and marks beside the counts.
    """

    id = "DUR10"
    level = "should"
    audits = ("000-13",)
    requires = ("fail", "is_valid|status|failures|acquire")
    stored = True
    subject = ("restart",)
    CONFORMING = (
        "fail(lease=key-1, status=401) -> key-2\nrestart()\nis_valid(key=key-1) -> False",
        "fail(lease=key-1, status=500) -> key-2\nrestart()\nfailures(key=key-1) -> 1",
    )
    VIOLATING = (
        "fail(lease=key-1, status=401) -> key-2\nrestart()\nis_valid(key=key-1) -> True",
        "fail(lease=key-1, status=500) -> key-2\nrestart()\nfailures(key=key-1) -> 0",
        "given regular=key-1,key-2\nfail(lease=key-1, status=429) -> key-2\nrestart()\nacquire() -> key-1",
    )

    def workloads(self) -> Iterator[Workload]:
        """A key taken out, struck and marked, then a restart: read, and asked for."""
        seen = (is_valid("key-1"), failures("key-1"), status())
        for name, code in (("auth", 401), ("strike", 500), ("mark", 429)):
            failed = hurt(self, "key-1", status=code)
            asked = asks(self, keys=2) if name != "strike" and self.policies.exhaustion != "blocks" else ()
            yield Workload(name=name, given=PAIR, setup=(*failed, restart(), *seen, *asked))
            yield Workload(name=f"{name}-twice", given=PAIR, setup=(*failed, restart(), restart(), *seen, *asked))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse nothing by the order: what a restart keeps is looked at below."""
        del moment
        return None

    def violations(self, history: History) -> Iterator[Violation]:
        """Hold what is told and served against what was known before the restart."""
        yield from self.accidents(history)
        oracle = self.oracle(history)
        state = oracle.initial()
        restarted = False
        for operation in history.operations:
            if operation.name == "restart":
                restarted = True
                continue
            moment = Moment(oracle, state, operation)
            found = _forgotten(moment) if restarted and isinstance(operation.response, Answered) else None
            if found is not None:
                yield broken(operation, found, f"a restart forgets what {operation.name} tells")
                return
            state = oracle.step(state, operation)[0]


def _forgotten(moment: Moment) -> str | None:
    """Say what was to be expected where the answer forgets what was known; None where it does not."""
    if moment.name == "is_valid" and validity(moment, moment.key) is Tri.NO and moment.value is True:
        return "False, as before"
    if moment.name == "failures" and isinstance(moment.value, int):
        bounds = moment.oracle.failures(moment.state, (moment.pool, moment.key))
        return f"{bounds}, as before" if moment.value < bounds.low else None
    if moment.name == "acquire" and moment.served is not None and moment.oracle.policies.exhaustion != "fallback":
        out = moment.servable().get(moment.served) is Tri.NO
        return "another key: this one was out" if out else None
    return None
