"""LIFE06 to LIFE09: the provider's one instance, and a pool that is exchanged for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.lifecycle import left, running
from pytest_keyconform.catalogue.provoking import reported
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import asks, given_back, hurt
from pytest_keyconform.catalogue.steps import census, fail, is_valid, next_key, record, status, step, usage
from pytest_keyconform.operation import Answered, Opaque, Raised
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

OLD = Given(regular=("key-1", "key-2"))
NEW = ("key-2", "key-4")
SERVING = ("acquire", "next_key", "random_key", "fail")


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
class PoolExchanged(Invariant):
    """Reload: the pool is exactly the new one, removed keys are never served, survivors follow `reload`.

    Why: a key that was revoked is taken out of the list, and must not be used from that moment on (000-5).
    How it breaks: new keys are added and old ones stay; the rotation or a cache keeps the old list; counts are lost.
    Fix: build the new state beside the old one and put it in its place in one step.
    """

    id = "LIFE07"
    audits = ("000-5",)
    requires = ("reload",)
    subject = ("reload",)
    CONFORMING = (
        (
            "given regular=key-1,key-2\nreload(api_keys=key-2;key-4)\nacquire() -> key-2\nacquire() -> key-4\n"
            "acquire() -> key-2"
        ),
    )
    VIOLATING = (
        "given regular=key-1,key-2\nreload(api_keys=key-2;key-4)\nacquire() -> key-1",
        'given regular=key-1\nreload(api_keys=key-4;)\nacquire() -> ""',
        "given regular=key-1\nreload(api_keys=key-4;) -> raises KeyError",
        (
            "given regular=key-1\nrecord(lease=key-1, tokens=5) -> True\nreload(api_keys=key-1;key-4)\n"
            'usage(key=key-1) -> {"rpm": 0}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """One key leaves and one comes; all leave; survivors were counted, marked and taken out before."""
        ask = asks(self, keys=2)
        told = self._told() if self.claims.operations.get("record") else ()
        reads = (usage("key-2", optional=True), is_valid("key-2"), status())
        exchanged = self.exchange(NEW)
        yield Workload(name="served", given=OLD, setup=(*self.taking("a"), exchanged, *ask, status()))
        yield Workload(name="all-new", given=OLD, setup=(exchanged_all := self.exchange(("key-4", "key-5")), *ask))
        yield Workload(name="counted", given=OLD, setup=(*told, exchanged, *reads, *ask))
        if self.claims.operations.get("fail"):
            for code in (401, 429):
                out = hurt(self, "key-2", status=code)
                yield Workload(name=f"out-{code}", given=OLD, setup=(*out, exchanged, *reads, *ask))
            gone = (*hurt(self, "key-1", status=401), exchanged_all, *ask, status())
            yield Workload(name="gone-out", given=OLD, setup=gone)
        yield Workload(name="twice", given=OLD, setup=(exchanged, exchanged, *ask))
        if self.policies.tenure == "rotation":
            turns = (next_key(optional=True),) * 4
            yield Workload(name="rotation", given=OLD, setup=(turns[0], exchanged, *turns))
        yield Workload(name="workers", given=OLD, setup=(exchanged, census(), exchanged, census()))

    def exchange(self, keys: tuple[str, ...]) -> Step:
        """Answer the reload with these regular keys."""
        vertex = OLD.vertex if self.claims.takes("reload", "vertex_api_keys") else ...
        return step("reload", api_keys=keys, vertex_api_keys=vertex)

    def _told(self) -> tuple[Step, ...]:
        return reported(self, [(key, lambda lease: record(lease, tokens=5)) for key in OLD.regular])

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that left, an empty answer, a key that is out, and a usage that does not follow."""
        if moment.name in SERVING and moment.answered:
            gone = _gone(moment)
            if gone is not None or moment.name == "fail":
                return gone
        if moment.name == "acquire":
            return unusable_served(moment) or nothing_served(moment)
        return wrong_usage(moment)

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare the censuses too."""
        yield from super().violations(history)
        counted = list(history.named("census"))
        if len(counted) > 1 and running(counted[-1]) > running(counted[0]):
            yield broken(counted[-1], left(counted[0]) or "nothing, as before", "a reload leaves the old worker")


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
    )

    def workloads(self) -> Iterator[Workload]:
        """Each call that answers a key beside a reload to fewer, to more and to other keys."""
        vertex = OLD.vertex if self.claims.takes("reload", "vertex_api_keys") else ...
        calls = {"acquire": self.taking("a"), "fail": (fail("key-2", status=500), *given_back(self, "key-2"))}
        if self.policies.tenure == "rotation":
            calls["next"] = (next_key(),)
        for kind, keys in (("other", NEW), ("fewer", ("key-2",)), ("more", ("key-1", "key-2", "key-4", "key-5"))):
            exchanged = step("reload", api_keys=keys, vertex_api_keys=vertex)
            for name, call in calls.items():
                if self.claims.operations.get(call[0].name):
                    yield Workload(name=f"{name}-{kind}", given=OLD, clients=((exchanged,), call))
            twice = ((exchanged,), self.taking("a"), self.taking("b"))
            yield Workload(name=f"two-{kind}", given=OLD, clients=twice, finale=self.taking("z"))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key of neither pool, and an empty answer."""
        if moment.name in SERVING and moment.answered and (gone := _gone(moment)) is not None:
            return gone
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
    )

    def workloads(self) -> Iterator[Workload]:
        """A list that is none, one with a number in it, and none at all; asked for every key afterwards."""
        for name, keys in (("number", 7), ("in-the-list", ("key-4", 7)), ("nothing", None)):
            vertex = OLD.vertex if self.claims.takes("reload", "vertex_api_keys") else ...
            bad = step("reload", api_keys=keys, vertex_api_keys=vertex, bad=True)
            yield Workload(name=name, given=OLD, setup=(*self.taking("a"), bad, *asks(self, keys=2), status()))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what is served after a reload that raised."""
        failed = False
        for operation in history.operations:
            failed |= operation.name == "reload" and isinstance(operation.response, Raised)
            if not failed or operation.name != "acquire":
                continue
            served = operation.value in history.given.regular
            if operation.undeclared or (not served and self.policies.tenure != "lease"):
                yield broken(operation, "a key of the old pool", "a failed reload breaks the old pool")
                return


def _gone(moment: Moment) -> Refusal | None:
    """Refuse a key that is in no pool."""
    value = moment.value
    if not isinstance(value, str) or not value or value == moment.oracle.policies.sentinel or moment.served is not None:
        return None
    return moment.refusal("a key of the pool as it is now", f"{moment.name} answers a key that is in no pool")
