"""LIFE06, LIFE08 and LIFE09: the provider's one instance, calls beside a reload, and a reload that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.exchanging import NEW, OLD, SERVING, THREE, exchangeable, exchanges, gone
from pytest_keyconform.catalogue.grouping import in_groups
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import SECOND, asks, given_back
from pytest_keyconform.catalogue.steps import POOLS, fail, next_key, status, step
from pytest_keyconform.operation import Answered, Opaque, Raised
from pytest_keyconform.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

LONGER = {"regular": ("key-1", "key-2", "key-4", "key-5"), "vertex": ("vertex-1", "vertex-2", "vertex-4", "vertex-5")}


@final
class OneInstance(Invariant):
    """The provider without arguments answers the one instance; before the first it raises a typed error; one is built.

    Why: two managers on the same keys each spend the whole quota (000-21, 000-25).
    How it breaks: two first calls both find nothing and both build; None is answered before the first.
    Fix: look and build under one lock, and raise an error of the package's own where there is nothing yet.
    """

    id = "LIFE06"
    audits = ("000-21", "000-25")
    requires = ("instance",)
    subject = ("instance",)
    overlap = True
    CONFORMING = (
        "instance() -> raises typed NotReady",
        "instance(api_keys=key-1;) -> <Manager>\ninstance() -> <Manager>",
    )
    VIOLATING = ("instance() -> None", "instance() -> raises AttributeError", "instance() -> <Manager>")

    def workloads(self) -> Iterator[Workload]:
        """Asked before there is one; two and three first calls at once; asked again without arguments."""
        forget = step("reset_instance", optional=True)
        first, again = step("instance", api_keys=OLD.regular, vertex_api_keys=OLD.vertex), step("instance")
        if self.claims.operations.get("reset_instance"):
            yield Workload(name="before", given=OLD, setup=(forget, again))
        yield Workload(name="one", given=OLD, setup=(forget, first, again, again, forget))
        for count in (2, 3):
            clients = ((first,),) * count
            yield Workload(name=f"at-once-{count}", given=OLD, setup=(forget,), clients=clients, finale=(again, forget))

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare the instances that were answered, and look at what comes before the first."""
        built: set[str] = set()
        asked = False
        for operation in history.operations:
            if operation.name == "reset_instance":
                built, asked = set(), False
            if operation.name != "instance":
                continue
            asked |= operation.get("api_keys") is not None
            if operation.undeclared:
                yield broken(operation, "an instance, or a typed error", "instance raises an accident")
            if isinstance(operation.response, Answered):
                yield from self._answered(operation, built, asked=asked)

    def _answered(self, operation: Operation, built: set[str], *, asked: bool) -> Iterator[Violation]:
        if not asked:
            yield broken(operation, "a typed error: there is none yet", "instance answers before there is one")
        elif not isinstance(operation.value, Opaque):
            yield broken(operation, "the instance", "instance answers no instance")
        else:
            built.add(operation.value.text)
            if len(built) > 1:
                yield broken(operation, "the one instance", "two instances are built")


@final
class CallsDuringReload(Invariant):
    """Calls during a reload get a key of the old or the new pool, never an exception.

    Why: pools are exchanged while requests are under way (000-5).
    How it breaks: the list is emptied and filled; an index points behind the end of the shorter one.
    Fix: build the new state beside the old one and put it in its place in one step.
    """

    id = "LIFE08"
    audits = ("000-5",)
    requires = ("reload", "acquire|next_key|fail")
    subject = ("reload", *SERVING)
    overlap = True
    CONFORMING = ("given regular=key-1\n| reload(api_keys=key-4;)\n| acquire() -> key-1", "acquire() -> key-1")
    VIOLATING = (
        "given regular=key-1\n| reload(api_keys=key-4;)\n| acquire() -> raises IndexError",
        'given regular=key-1\n| reload(api_keys=key-4;)\n| acquire() -> ""',
        "given regular=key-1\n| reload(api_keys=key-4;)\n| acquire() -> key-9",
        (
            "given regular=key-1,key-2\nnext_key() -> key-1\n| reload(api_keys=key-1;)\n"
            "| next_key() -> raises IndexError"
        ),
        (
            "given regular=key-1 vertex=vertex-1\n| reload(api_keys=key-1;, vertex_api_keys=vertex-1;)\n"
            '| acquire(pool=vertex) -> ""'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Each call that answers a key beside a reload to fewer, to more and to other keys, at once and after turns."""
        for pool in exchangeable(self):
            tag = "" if pool == "regular" else f"{pool}-"
            calls = self._calls(pool)
            lists = (("other", NEW[pool]), ("fewer", (SECOND[pool],)), ("more", LONGER[pool]))
            for kind, keys in lists:
                exchanged = exchanges(self, keys, pool=pool)
                for name, call in calls.items():
                    if self.claims.operations.get(call[0].name):
                        clients = ((exchanged,), call)
                        yield Workload(name=f"{tag}{name}-{kind}", given=OLD, clients=clients)
                if pool == "regular":
                    twice = ((exchanged,), self.taking("a"), self.taking("b"))
                    yield Workload(name=f"two-{kind}", given=OLD, clients=twice, finale=self.taking("z"))
            yield from self._turned(pool)

    def _calls(self, pool: str) -> dict[str, tuple[Step, ...]]:
        """Answer the calls that answer a key of a pool, by name."""
        failed = (fail(SECOND[pool], status=500, pool=pool), *given_back(self, SECOND[pool], pool=pool))
        calls = {"acquire": self.taking("a", pool=pool), "fail": failed}
        return calls | ({"next": (next_key(pool=pool),)} if self.policies.tenure == "rotation" else {})

    def _turned(self, pool: str) -> Iterator[Workload]:
        """Yield the programs whose rotation stands at its last place when the pool becomes a single key."""
        exchanged = exchanges(self, THREE.keys(pool)[:1], pool=pool, given=THREE)
        for name, call in self._calls(pool).items():
            if name != "fail" and self.claims.operations.get(call[0].name):
                clients = ((exchanged,), call)
                yield Workload(name=f"{pool}-{name}-turned", given=THREE, setup=call * 2, clients=clients, finale=call)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key of neither pool, and an empty answer."""
        if moment.name in SERVING and moment.answered and (left := gone(moment)) is not None:
            return left
        return nothing_served(moment) if moment.name == "acquire" else None


@final
class FailedReload(Invariant):
    """A failed reload leaves the old manager serving.

    Why: a configuration with a mistake in it must not take the service down (000-5).
    How it breaks: the old pool is cleared before the new one is looked at.
    Fix: check and build the new state first.
    """

    id = "LIFE09"
    audits = ("000-5",)
    requires = ("reload", "acquire")
    unhindered = True
    CONFORMING = (
        "given regular=key-1\nreload(api_keys=7, bad=True) -> raises typed TypeError\nacquire() -> key-1",
        'given regular=key-1\nreload(api_keys=7, bad=True)\nacquire() -> ""',
    )
    VIOLATING = (
        'given regular=key-1\nreload(api_keys=7, bad=True) -> raises typed TypeError\nacquire() -> ""',
        "given regular=key-1\nreload(api_keys=7, bad=True) -> raises TypeError\nacquire() -> raises AttributeError",
        (
            "given regular=key-1 vertex=vertex-1\nreload(api_keys=key-4;, vertex_api_keys=7, bad=True) -> raises "
            "typed TypeError\nacquire() -> key-4"
        ),
        (
            "given regular=key-1 vertex=vertex-1\nreload(api_keys=key-4;, vertex_api_keys=7, bad=True) -> raises "
            'typed TypeError\nstatus() -> {"valid_keys": {"key-4": 0}, "invalid_keys": {}}'
        ),
        (
            "given regular=key-1 vertex=vertex-1\nreload(api_keys=key-1;, vertex_api_keys=7, bad=True) -> raises "
            'typed TypeError\nacquire(pool=vertex) -> ""'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """A list that is none, one with a number in it, and none at all, of each pool; then asked for every key."""
        bad = (("number", 7), ("in-the-list", ("key-4", 7)), ("nothing", None))
        for name, keys in bad:
            refused = exchanges(self, keys, bad=True)
            yield Workload(name=name, given=OLD, setup=(*self.taking("a"), refused, *asks(self, keys=2), status()))
        for name, keys in bad if len(exchangeable(self)) > 1 else ():
            refused = step("reload", api_keys=NEW["regular"], vertex_api_keys=keys, bad=True)
            for pool in POOLS:
                after = (*asks(self, keys=2, pool=pool), status(pool=pool))
                setup = (*self.taking("a", pool=pool), refused, *after)
                yield Workload(name=f"vertex-{name}-{pool}", given=OLD, setup=setup)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what is served after a reload that raised, and at what a status then names."""
        failed: Operation | None = None
        for operation in history.operations:
            if operation.name == "reload" and isinstance(operation.response, Raised):
                failed = operation
            if failed is None or operation.name not in ("acquire", "status"):
                continue
            keys = history.given.keys(str(operation.get("pool", "regular")))
            if operation.name == "status" and _lists_new(operation, failed, keys):
                yield broken(operation, f"the old keys: {', '.join(keys)}", "a failed reload leaves new keys behind")
                return
            lost = operation.value not in keys and self.policies.tenure != "lease"
            if operation.name == "acquire" and (operation.undeclared or lost):
                yield broken(operation, "a key of the old pool", "a failed reload breaks the old pool")
                return


def _lists_new(operation: Operation, failed: Operation, keys: tuple[str, ...]) -> bool:
    """Tell whether a status names a key that only the reload which failed named."""
    named = failed.get("api_keys")
    new = {key for key in named if key not in keys} if isinstance(named, list | tuple) else set()
    return any(key in new for key in in_groups(operation.value))
