"""UNK05 and UNK06: names of models that lead to another entry, and names that are none."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.calls import optional
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import ENTRY_POINTS, ONE, hurt, misstated, served_though
from pytest_keyconform.catalogue.steps import acquire, record, release, step, usage, views
from pytest_keyconform.catalogue.unknown import configured, is_unknown
from pytest_keyconform.model.names import entry, known
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Invocation, Ref
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.workload import Step


@final
class LongestName(Invariant):
    """A model name maps to the exact entry, else to the longest that `model_match` allows, in any order of the table.

    Why: dated names such as `m-lite-001` are used from day one; mapped to `m` they spend the wrong quota (000-10).
    How it breaks: the first entry that is a prefix wins; `mx` is taken for `m`; the table is sorted the wrong way.
    Fix: look for the exact name, then for the longest entry that ends at a boundary.
    """

    id = "UNK05"
    audits = ("000-10",)
    requires = ("acquire|usage", "record|acquire")
    applies: ClassVar = {"counted_on": ("record", "acquire")}
    CONFORMING = (
        (
            "given regular=key-1 m.rpm=1 m-lite.rpm=1\nrecord(lease=key-1, model=m) -> True\n"
            'acquire(model=m-lite-001) -> key-1\nacquire(model=mx) -> key-1\nacquire(model=m:free) -> ""'
        ),
        (
            "policy model_match=exact\ngiven regular=key-1 m.rpm=1\nrecord(lease=key-1, model=m) -> True\n"
            "acquire(model=m-lite) -> key-1"
        ),
        "policy unknown_model=reject\ngiven regular=key-1 m.rpm=1\nacquire(model=mx) -> raises typed UnknownModel",
    )
    VIOLATING = (
        (
            "given regular=key-1 m.rpm=1 m-lite.rpm=1\nrecord(lease=key-1, model=m) -> True\n"
            'acquire(model=m-lite-001) -> ""'
        ),
        'given regular=key-1 m.rpm=1\nrecord(lease=key-1, model=m) -> True\nacquire(model=mx) -> ""',
        "given regular=key-1 m.rpm=1\nrecord(lease=key-1, model=m) -> True\nacquire(model=m-lite) -> key-1",
        'given m.rpm=1\nrecord(lease=key-1, model=m) -> True\nusage(key=key-1, model=m-lite) -> {"rpm": 0}',
        (
            "policy model_match=exact\ngiven regular=key-1 m.rpm=1\nrecord(lease=key-1, model=m) -> True\n"
            'acquire(model=m-lite) -> ""'
        ),
        "policy unknown_model=reject\ngiven regular=key-1 m.rpm=1\nacquire(model=mx) -> key-1",
    )

    LIMIT = 5
    """More than one, and more than the names of one entry, so that asking for each of them spends none."""
    TABLES = (("m", "m-lite"), ("m", "m-lite", "mx"), ("m-lite-001", "m-lite", "m"))
    NAMES = ("m", "m-lite", "m-lite-001", "m-lite-001-b", "m-litex", "mx", "m:free", "m@7")

    def workloads(self) -> Iterator[Workload]:
        """Each entry of a table spent to its limit, in every order of the table; then every name asked for and read."""
        for table in self.TABLES:
            for number, order in enumerate(permutations(table)):
                limits = [(name, Limits(rpm=self.LIMIT, rpd=self.LIMIT)) for name in order]
                limits.insert(number % 2 * len(limits), (DEFAULT_MODEL, Limits()))
                given = configured(self, replace(ONE, limits=tuple(limits)), "limits")
                for spent in table:
                    name, filled = f"{'.'.join(order)}+{spent}", tuple(self._filled(spent))
                    asked = tuple(self._asked(given, spent))
                    yield Workload(name=f"{name}-acquire", given=given, setup=filled, finale=asked)
                    if order in (table, table[::-1]):
                        read = tuple(usage("key-1", model=each) for each in self.NAMES if self._names(each, given))
                        yield Workload(name=f"{name}-usage", given=given, setup=filled, finale=read)

    def _filled(self, model: str) -> Iterator[Step]:
        if self.policies.tenure == "rotation" and self.policies.counted_on == "record":
            yield from (record("key-1", model=model),) * self.LIMIT
            return
        for number in range(self.LIMIT):
            yield acquire(f"f{number}", model=model)
            yield record(Ref(f"f{number}"), model=model)
            if self.policies.tenure == "lease" and self.policies.release == "explicit":
                yield release(Ref(f"f{number}"))

    def _asked(self, given: Given, spent: str) -> Iterator[Step]:
        for number, name in enumerate(self.NAMES):
            yield acquire(f"a{number}", model=name)
            served = self._names(name, given) and entry(name, given, self.policies) != spent
            if self.policies.tenure == "lease" and served:
                lease = Ref(f"a{number}")
                explicit = self.policies.release == "explicit"
                yield release(lease) if explicit else record(lease, model=name, tokens=0)

    def _names(self, name: str, given: Given) -> bool:
        return self.policies.unknown_model != "reject" or known(name, given, self.policies)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a service and a usage that another entry would explain."""
        if moment.name == "usage":
            return wrong_usage(moment)
        if moment.name != "acquire":
            return None
        if self.policies.unknown_model == "reject" and is_unknown(moment):
            served = moment.served is not None
            return moment.refusal("an error: no entry fits", "a name is mapped to a wrong entry") if served else None
        return self._spent(moment) or nothing_served(moment)

    def _spent(self, moment: Moment) -> Refusal | None:
        oracle, now = moment.oracle, moment.operation.until or moment.operation.at
        cell = (moment.pool, moment.served or "", oracle.entry(moment.model))
        spent = oracle.below_limits(moment.state, cell, now) is Tri.NO
        return unusable_served(moment) if spent else None


@final
class NoName(Invariant):
    """No model, "" and a non-string never corrupt state: default model or a typed error.

    Why: routes pass on what the request says, and one odd value must not spoil rows that all share (000-31, 002-O4).
    How it breaks: an entry named None or 7 is made, and the next sorted view raises; "" is a prefix of every name.
    Fix: look at the name first: none or "" is the default model, anything but a str is refused.
    """

    id = "UNK06"
    audits = ("000-31", "002-O4")
    requires = ("acquire|record|fail|usage",)
    CONFORMING = (
        (
            "acquire(model=None, bad=True) -> key-1\nacquire(model=7, bad=True) -> raises typed TypeError\n"
            "acquire(model=m2) -> key-1"
        ),
        'given regular=key-1\nfail(lease=key-1, model=m1, status=429) -> ""\nacquire(model="", bad=True) -> ""',
        "record(lease=key-1, model=7, bad=True) -> raises typed ValueError\nusage(key=key-1, model=m2) -> None",
        'record(lease=key-1, model=None, bad=True) -> True\nusage(key=key-1, model=m1) -> {"rpm": 1}',
    )
    VIOLATING = (
        "acquire(model=7, bad=True) -> raises AttributeError",
        "record(lease=key-1, model=None, bad=True) -> True\nstate() -> raises TypeError",
        'acquire(model="", bad=True) -> ""',
        'given regular=key-1\nfail(lease=key-1, model=m1, status=429) -> ""\nacquire(model=7, bad=True) -> key-1',
        'record(lease=key-1, model=7, bad=True) -> True\nusage(key=key-1, model=m2) -> {"rpm": 1}',
        'given regular=key-1\nrecord(lease=key-1, model=None, bad=True) -> True\nacquire(model=m2) -> ""',
        "fail(lease=key-1, model=7, status=500, bad=True) -> key-2\nis_valid(key=vertex-1, pool=vertex) -> False",
    )

    NAMES: ClassVar[tuple[tuple[str, object], ...]] = (("none", None), ("empty", ""), ("number", 7))

    def workloads(self) -> Iterator[Workload]:
        """Each odd name in each call, then another model, another pool, every view; and the default one exhausted."""
        lease, given = Ref("a"), configured(self, ONE)
        marked = configured(self, ONE, "default_model")
        for name, odd in self.NAMES:
            ask = step("acquire", "a", model=odd, bad=True)
            read = step("usage", key="key-1", model=odd, bad=True)
            report = step("record", lease=lease, model=odd, tokens=5, bad=True)
            failed = step("fail", lease=lease, model=odd, retries=0, bad=True)
            quota = step("fail", lease=lease, model=odd, retries=0, status=429, bad=True)
            for call, made in (
                ("acquire", (ask, *self._back(lease))),
                ("record", (acquire("a"), report, *self._back(lease, reported=True))),
                ("quota", (acquire("a"), quota, *self._back(lease, reported=True))),
                ("usage", (read,)),
            ):
                after = (acquire(model="m2", optional=True),) if self._frees() else ()
                yield Workload(name=f"{name}-{call}", given=given, setup=made, finale=(*self._read(), *after))
            struck = (acquire("a"), failed)  # it may have taken the key out
            yield Workload(name=f"{name}-fail", given=given, setup=struck, finale=self._read())
            if self.policies.tenure == "rotation":
                chance = step("random_key", model=odd, bad=True)
                yield Workload(name=f"{name}-random", given=given, setup=(chance,), finale=self._read())
            mark = hurt(self, "key-1", status=429)
            yield Workload(name=f"{name}-marked", given=marked, setup=(*mark, ask))

    def _frees(self) -> bool:
        """Tell whether what an odd acquire served can be given back, if it has to be."""
        explicit = self.policies.tenure == "lease" and self.policies.release == "explicit"
        return not explicit or bool(self.claims.forms("release"))

    def _back(self, lease: Ref, *, reported: bool = False) -> tuple[Step, ...]:
        """Give a lease back, if that has to be done; ``reported`` tells that a report may have done it."""
        if self.policies.tenure != "lease":
            return ()
        if self.policies.release == "explicit":
            return (release(lease),)
        return () if reported else (record(lease, tokens=0),)

    def _read(self) -> tuple[Step, ...]:
        read = (usage("key-1", model="m2"), usage("key-1"), step("state"), *views(ONE), *views(ONE, pool="vertex"))
        return optional(*read)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an accident, an answer that the default model does not explain, and traces beyond that model."""
        operation = moment.operation
        if operation.undeclared:
            kind = getattr(operation.response, "kind", "")
            return moment.refusal("the default model, or a typed error", f"{moment.name} raises {kind}")
        if operation.get("bad"):
            return self._default(moment) if moment.name in ENTRY_POINTS else None
        if moment.name == "usage":
            return wrong_usage(moment) if moment.model == "m2" else None
        if moment.name in ENTRY_POINTS:
            return nothing_served(moment) if moment.model == "m2" else None
        return misstated(moment) if moment.pool == "vertex" else None

    def _default(self, moment: Moment) -> Refusal | None:
        """Judge the answer as if the default model had been named."""
        pool = (("pool", moment.pool),)
        plain = replace(moment.operation, invocation=Invocation(moment.name, pool))
        default = Moment(moment.oracle, moment.state, plain)
        if moment.served is not None:
            return served_though(default, "marked") if moment.oracle.told("default_model") else None
        return nothing_served(default) if moment.nothing and moment.model in (None, "") else None
