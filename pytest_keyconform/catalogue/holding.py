"""LIFE10, LIFE11, LIFE13 and LIFE14: who holds what: an earlier instance, the lists given, a manager not opened yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import reported
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import asks
from pytest_keyconform.catalogue.steps import all_keys, is_valid, next_key, opened, record, status, step, usage
from pytest_keyconform.operation import Answered, Raised, Ref, Skipped
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

OLD: Final = Given(regular=("key-1", "key-2"))
NEW: Final = ("key-4", "key-5")
REPLACED: Final = ["old", "reset", "new"]
EXCHANGED: Final = "instance(api_keys=key-1;key-2)\nreset_instance()\ninstance(api_keys=key-4;key-5)\n"
FORGET: Final = step("reset_instance", optional=True)


def instance(bind: str, keys: tuple[str, ...]) -> Step:
    """Ask the provider for the instance of these regular keys."""
    return step("instance", bind, api_keys=keys, vertex_api_keys=OLD.vertex)


def through(bind: str, name: str = "acquire") -> Step:
    """Ask an earlier instance for a key."""
    return step(name, model=DEFAULT_MODEL, pool="regular", through=Ref(bind))


@final
class EarlierInstance(Invariant):
    """Who holds an earlier instance reaches the live pool or gets a typed error.

    Why: modules keep what they were given at import, and hand out keys that were revoked since (000-6).
    How it breaks: the provider forgets the old manager, which goes on with its old list.
    Fix: close the old manager, so that it refuses; or hand out one front that leads to the live one.
    """

    id = "LIFE10"
    audits = ("000-6",)
    requires = ("instance", "reset_instance", "acquire")
    unhindered = True
    CONFORMING = (
        f"{EXCHANGED}acquire(through=a) -> key-4",
        f"{EXCHANGED}acquire(through=a) -> raises typed Closed",
        "instance(api_keys=key-1;key-2)\nacquire(through=a) -> key-1",
    )
    VIOLATING = (
        f"{EXCHANGED}acquire(through=a) -> key-1",
        f'{EXCHANGED}acquire(through=a) -> ""',
        f"{EXCHANGED}acquire(through=a) -> raises AttributeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """An instance is kept, the provider is reset and asked for one of other keys; then the first is asked."""
        before = (FORGET, instance("a", OLD.regular))
        after = (FORGET, instance("b", NEW), through("a"), FORGET)
        yield Workload(name="fresh", given=OLD, setup=(*before, *after))
        yield Workload(name="used", given=OLD, setup=(*before, through("a"), *after))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what the earlier instance answers once the provider was reset and there is another one."""
        way: list[str] = []
        for operation in history.operations:
            if operation.name == "reset_instance":
                way.append("reset")
            elif operation.name == "instance" and isinstance(operation.response, Answered):
                way.append("new" if operation.get("api_keys") == NEW else "old")
            asked = operation.name == "acquire" and operation.get("through") == "a" and way[-3:] == REPLACED
            typed = isinstance(operation.response, Raised) and operation.response.typed
            if asked and not typed and operation.value not in NEW and not isinstance(operation.response, Skipped):
                yield broken(operation, "a key of the live pool, or a typed error", "an earlier instance goes on alone")


@final
class ListsAreCopied(Invariant):
    """Changing the lists given at construction changes nothing inside.

    Why: the list of a configuration is emptied or added to by whoever else holds it (000-5).
    How it breaks: the list itself is kept.
    Fix: copy what is given, at once.
    """

    id = "LIFE11"
    audits = ("000-5",)
    CONFORMING = ("given regular=key-1\nspoil_lists()\nacquire() -> key-1",)
    VIOLATING = (
        "given regular=key-1\nspoil_lists()\nacquire() -> stranger-9",
        'given regular=key-1\nspoil_lists()\nacquire() -> ""',
        "given regular=key-1\nspoil_lists()\nacquire() -> raises IndexError",
    )
    subject = ("acquire", "next_key", "status", "all_keys")

    def workloads(self) -> Iterator[Workload]:
        """The lists given to the factory, and those given to a reload, are emptied and hold a stranger."""
        asked = (*asks(self, keys=2), next_key(optional=True), status(), all_keys())
        if self.claims.given is not None:
            yield Workload(name="constructed", given=OLD, setup=(step("spoil_lists"), *asked))
            yield Workload(name="used", given=OLD, setup=(*self.taking("a"), step("spoil_lists"), *asked))
        if self.claims.operations.get("reload"):
            vertex = OLD.vertex if self.claims.takes("reload", "vertex_api_keys") else ...
            exchanged = step("reload", api_keys=OLD.regular, vertex_api_keys=vertex, spoil=True)
            yield Workload(name="reloaded", given=OLD, setup=(exchanged, *asked))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that was never in the pool, in whatever answer, and an empty answer."""
        if moment.name == "acquire" and (empty := nothing_served(moment)) is not None:
            return empty
        if "stranger-9" in str(moment.value):
            return moment.refusal("keys of the pool as it was given", f"{moment.name} knows a key that came afterwards")
        return None


@final
class NotOpenedYet(Invariant):
    """Before opening, calls work in full, raise a typed error or answer by `exhaustion`.

    Why: the first request comes before the start-up hook is done (000-12, 000-26).
    How it breaks: what opening makes is None until then; a report is taken and forgotten by the opening.
    Fix: look whether the manager is open, and raise an error of the package's own.
    """

    id = "LIFE13"
    audits = ("000-12", "000-26")
    requires = ("open", "acquire|record|status")
    ends = True
    unhindered = True
    CONFORMING = (
        "acquire() -> raises typed NotOpen",
        'acquire() -> ""',
        'record(lease=key-1, tokens=5) -> True\nopen()\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
    )
    VIOLATING = (
        "acquire() -> raises AttributeError",
        "record(lease=key-1) -> raises TypeError",
        'status() -> {}\nopen()\nacquire() -> ""',
        'record(lease=key-1, tokens=5) -> True\nopen()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
    )

    def workloads(self) -> Iterator[Workload]:
        """Each operation on a manager that is made and not opened; then it is opened, and read."""
        told = reported(self, [("key-1", lambda lease: record(lease, tokens=5))])
        calls = {"acquire": self.taking("a"), "record": told}
        calls |= {one.name: (one,) for one in (status(), usage("key-1"), is_valid("key-1"), next_key())}
        for name, call in calls.items():
            if self.claims.operations.get(name):
                after = (opened(), usage("key-1", optional=True), *self.taking("z"))
                yield Workload(name=name, given=Given(), setup=(*call, *after), unopened=True)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage that forgot what was answered as recorded before the opening."""
        return wrong_usage(moment)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what was raised, then at the usage."""
        for operation in history.operations[1:]:
            if operation.undeclared:
                yield broken(operation, "an answer, or a typed error", f"{operation.name} before the opening")
        first = next((op for op in history.operations[1:] if op.name == "open"), None)
        for operation in history.named("acquire"):
            late = first is not None and isinstance(first.response, Answered) and first.precedes(operation)
            if late and isinstance(operation.response, Answered) and operation.value in ("", None):
                yield broken(operation, "a key: it is open now", "nothing is served once it is opened")
        yield from self.disorder(history)


@final
class OtherPools(Invariant):
    """The provider asked with other pools than the live ones reloads, warns or raises a typed error.

    Why: a new configuration is passed on, nothing happens, and the old keys go on being served (000-5, 000-21).
    How it breaks: where there is an instance, the arguments are not looked at.
    Fix: compare them with the live ones, and reload, or refuse.
    """

    id = "LIFE14"
    level = "should"
    audits = ("000-5", "000-21")
    requires = ("instance", "acquire")
    unhindered = True
    CONFORMING = (
        "acquire() -> key-1\ninstance(api_keys=key-1;)\ninstance(api_keys=key-4;)\nacquire(through=b) -> key-4",
        "instance(api_keys=key-1;)\ninstance(api_keys=key-4;) -> raises typed AlreadyThere",
        "instance(api_keys=key-1;)\ninstance(api_keys=key-4;, warned=True)\nacquire(through=b) -> key-1",
    )
    VIOLATING = ("instance(api_keys=key-1;)\ninstance(api_keys=key-4;)\nacquire(through=b) -> key-1",)

    def workloads(self) -> Iterator[Workload]:
        """An instance of some keys, then one of others is asked for, and asked."""
        both = (*self.taking("s"), FORGET, instance("a", OLD.regular), instance("b", NEW), through("b"), FORGET)
        yield Workload(name="other", given=OLD, setup=both, overheard=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what is served after the second asking, unless that warned or refused."""
        made = list(history.named("instance"))
        for operation in history.named("acquire"):
            asked = operation.get("through") == "b"
            if asked and len(made) > 1 and _silent(made[1]) and operation.value in history.given.regular:
                yield broken(operation, "a key of the new pool, or a warning", "other pools are silently passed over")


def _silent(operation: Operation) -> bool:
    return isinstance(operation.response, Answered) and not operation.get("warned")
