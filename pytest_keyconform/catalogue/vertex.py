"""VTX: the vertex pool."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.calls import optional
from pytest_keyconform.catalogue.charging import mischarged, names_its_pool
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.provoking import failing, reported, strikes, told
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.steps import POOLS, acquire, fail, record, reset, usage, views
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Answered, Raised
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.catalogue.provoking import Report
    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Form
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

VERTEX = "vertex"
PAIR = Given(regular=("key-1", "key-2"))
APART = Given(regular=("key-1",), vertex=("vertex-1",))
SHARED = Given(regular=("key-1",), vertex=("key-1",))
BY_PLACE = ("get_key", "get_next_working_vertex_key", "handle_vertex_api_failure")
"""The methods that call sites call for the vertex pool with positional arguments."""
WITHOUT_MODEL = ("get_next_working_vertex_key", "handle_vertex_api_failure")
"""The methods that call sites call without a model, whatever the signature says."""


def _of_the_vertex_pool(history: History) -> History:
    """Answer the calls for the vertex pool: what the others raised is not judged here."""
    return replace(history, operations=tuple(op for op in history.operations if op.get("pool") == VERTEX))


def _does_without_model(form: Form) -> bool:
    return form.name in WITHOUT_MODEL or "model" not in form.parameters - form.optional


@final
class VertexAcquire(Invariant):
    """The vertex acquire works without a model and with one, and respects that model's exhaustion.

    Why: the vertex routes call it without a model; where it needs one, they do not even start (000-2, 000-17).
    How it breaks: the model became a required argument; without one nothing is checked, or another model is.
    Fix: take the model as an argument that may be left out, and put the default model in its place.
    """

    id = "VTX01"
    audits = ("000-2", "000-17")
    subject = ("acquire",)
    general = True
    CONFORMING = (
        "acquire(pool=vertex) -> vertex-1\nacquire(pool=vertex, model=m2) -> vertex-2",
        (
            "fail(lease=vertex-1, pool=vertex, model=m1, status=429) -> vertex-2\nacquire(pool=vertex) -> vertex-2\n"
            "acquire(pool=vertex, model=m2) -> vertex-1"
        ),
        (
            "policy exhaustion=typed-error\ngiven vertex=vertex-1\n"
            "fail(lease=vertex-1, pool=vertex, model=m1, status=429) -> raises typed NoKey\n"
            "acquire(pool=vertex, model=m1) -> raises typed NoKey"
        ),
        "policy exhaustion=fallback\ngiven vertex=vertex-1 m1.rpm=0\nacquire(pool=vertex) -> vertex-1",
        "acquire(pool=regular) -> raises RuntimeError",
    )
    VIOLATING = (
        "acquire(pool=vertex) -> raises TypeError",
        'acquire(pool=vertex, model=m1) -> ""',
        "acquire(pool=vertex) -> key-1",
        "acquire(pool=vertex) -> <coroutine>",
        "fail(lease=vertex-1, pool=vertex, model=m1, status=429) -> vertex-2\nacquire(pool=vertex) -> vertex-1",
        'fail(lease=vertex-1, pool=vertex, model=m2, status=429) -> vertex-2\nacquire(pool=vertex) -> ""',
    )

    def workloads(self) -> Iterator[Workload]:
        """Every form of it, without a model and with one, on a fresh pool, a marked one and a spent one."""
        for number, form in enumerate(self.claims.forms("acquire", VERTEX)):
            asked = {"m1": self._asks(form, DEFAULT_MODEL), "m2": self._asks(form, "m2")}
            if _does_without_model(form):
                asked["none"] = self._asks(form, None)
            for name, asks in asked.items():
                yield Workload(name=f"{number}-{name}", given=PAIR, setup=asks)
            for state, given, steps in self._states():
                for name, asks in asked.items():
                    needs = given.needs | {"default_model"} if name == "none" else given.needs
                    pool = replace(given, needs=needs)
                    yield Workload(name=f"{number}-{state}-{name}", given=pool, setup=steps, finale=asks)

    def _asks(self, form: Form, model: object) -> tuple[Step, ...]:
        placed = form.name in BY_PLACE or ...
        ask = acquire(model=model, pool=VERTEX, form=form.name, positional=placed)
        return (ask, ask)

    def _states(self) -> Iterator[tuple[str, Given, tuple[Step, ...]]]:
        for model in (DEFAULT_MODEL, "m2"):
            mark = failing(self, status=429, pool=VERTEX, model=model)
            both = [(key, mark) for key in PAIR.vertex]
            yield f"{model}-one", PAIR, reported(self, both[:1], pool=VERTEX)
            yield f"{model}-both", PAIR, reported(self, both, pool=VERTEX)
        out = failing(self, status=401, pool=VERTEX)
        yield "out", PAIR, reported(self, [(key, out) for key in PAIR.vertex], pool=VERTEX)
        once = Given(limits=(("m1", Limits(rpm=1)), ("m2", Limits())), needs=frozenset({"limits"}))
        if self.policies.counted_on == "record":
            count: Report = lambda lease: record(lease, pool=VERTEX)  # noqa: E731 - one line, used once
            yield "spent", once, reported(self, [(key, count) for key in once.vertex], pool=VERTEX)
        elif self.policies.counted_on == "acquire":
            yield "spent", once, (*self.taking("a", pool=VERTEX), *self.taking("b", pool=VERTEX))

    def accidents(self, history: History) -> Iterator[Violation]:
        """Look at acquires for the vertex pool."""
        yield from super().accidents(_of_the_vertex_pool(history))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what is no vertex key, one that is exhausted for the model, and nothing while one is usable."""
        if moment.name != "acquire" or moment.pool != VERTEX:
            return None
        return _foreign(moment) or unusable_served(moment) or nothing_served(moment)


def _foreign(moment: Moment) -> Refusal | None:
    """Refuse an answer that is neither a key of the vertex pool nor a sentinel."""
    if not moment.answered or moment.nothing or moment.state.knows(VERTEX, str(moment.value)):
        return None
    keys = ", ".join(moment.state.members[VERTEX]) or "no key"
    return moment.refusal(f"a key of the vertex pool ({keys}) or the sentinel", f"{moment.name} answers no vertex key")


@final
class VertexFailure(Invariant):
    """The vertex failure works without a model, answers a str from the vertex pool, never None.

    Why: the vertex chat service reports a failure as (key, retries), and puts the answer into its next request (000-8).
    How it breaks: the model became a required argument; the replacement comes from the other pool; it answers None.
    Fix: take the model as an argument that may be left out; answer a vertex key, or "" where none is left.
    """

    id = "VTX02"
    audits = ("000-8",)
    requires = ("fail",)
    subject = ("fail",)
    general = True
    CONFORMING = (
        (
            "fail(lease=vertex-1, pool=vertex, retries=0) -> vertex-2\n"
            "fail(lease=vertex-2, pool=vertex, model=m2, retries=0) -> vertex-1"
        ),
        'fail(lease=vertex-1, pool=vertex, retries=3) -> ""',
        "policy sentinel=None\nfail(lease=vertex-1, pool=vertex, retries=3) -> None",
        "policy sentinel=None\ngiven vertex=vertex-1\nfail(lease=vertex-1, pool=vertex, status=401, retries=0) -> None",
        (
            "policy exhaustion=typed-error\ngiven vertex=vertex-1\n"
            "fail(lease=vertex-1, pool=vertex, status=401, retries=0) -> raises typed NoKey"
        ),
        "fail(lease=key-1, pool=regular, retries=0) -> raises TypeError",
    )
    VIOLATING = (
        "fail(lease=vertex-1, pool=vertex, retries=0) -> raises TypeError",
        "fail(lease=vertex-1, pool=vertex, retries=0) -> key-1",
        "fail(lease=vertex-1, pool=vertex, retries=0) -> None",
        "fail(lease=vertex-1, pool=vertex, retries=3) -> None",
        "policy sentinel=None\nfail(lease=vertex-1, pool=vertex, retries=0) -> None",
        "fail(lease=vertex-1, pool=vertex, retries=0) -> True",
        "policy exhaustion=typed-error\nfail(lease=vertex-1, model=m1, pool=vertex, retries=0) -> raises typed NoKey",
    )

    def workloads(self) -> Iterator[Workload]:
        """Every form of it, without a model and with one: while others are usable, none is, and at the last retry."""
        for number, form in enumerate(self.claims.forms("fail", VERTEX)):
            if not form.answers:
                continue
            for name, model in (("none", None), ("m1", DEFAULT_MODEL), ("m2", "m2")):
                plain = self._report("vertex-1", form, model)
                other = self._report("vertex-2", form, model)
                last = self._report("vertex-1", form, model, retries=Given().max_retries)
                yield Workload(name=f"{number}-{name}", given=PAIR, setup=(plain,))
                yield Workload(name=f"{number}-{name}-last", given=PAIR, setup=(last,))
                yield Workload(name=f"{number}-{name}-both", given=PAIR, setup=(plain, other) * strikes(self))

    def _report(self, key: str, form: Form, model: object, *, retries: int = 0) -> Step:
        placed = True if form.name in BY_PLACE and model is None else ...
        return fail(key, status=None, model=model, pool=VERTEX, retries=retries, form=form.name, positional=placed)

    def accidents(self, history: History) -> Iterator[Violation]:
        """Look at failures of the vertex pool."""
        yield from super().accidents(_of_the_vertex_pool(history))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse None, what is no vertex key, and an error while another key is usable."""
        if moment.name != "fail" or moment.pool != VERTEX:
            return None
        if isinstance(moment.operation.response, Raised) or moment.value is None:
            return self._absent(moment)
        return _foreign(moment)

    def _absent(self, moment: Moment) -> Refusal | None:
        servable = moment.servable()
        others = [key for key, truth in servable.items() if truth is Tri.YES and key != moment.key]
        retries = moment.operation.get("retries", 0)
        told = self.claims.given is None or "max_retries" in self.claims.given
        early = told and isinstance(retries, int) and retries < moment.oracle.given.max_retries
        needless = early and bool(others)
        if isinstance(moment.operation.response, Raised):
            form = moment.form
            modelless = moment.model is None and form is not None and not _does_without_model(form)
            wrong = needless and not modelless and not moment.operation.get("bad")
        else:
            wrong = moment.answered and (self.policies.sentinel is not None or needless)
        expected = f"a key of the vertex pool ({', '.join(others)})" if needless else 'the sentinel ""'
        return moment.refusal(expected, "fail of a vertex key answers no str") if wrong else None


def _reports(rule: Invariant, pool: str) -> Iterator[tuple[str, Report, int]]:
    """Yield each kind of report on a key of a pool, and how often it is made: far beyond any threshold, or once."""
    for name, status, times in (("auth", 401, 1), ("quota", 429, 1), ("strike", None, 1), ("struck", None, 0)):
        yield name, failing(rule, status=status, pool=pool), times or strikes(rule) + 1
    yield "usage", lambda lease: record(lease, pool=pool, tokens=5), 1
    yield "refused", lambda lease: record(lease, pool=pool, tokens=0, outcome="auth"), 1


def _charging(rule: Invariant, given: Given, pool: str, report: Report, times: int) -> tuple[Step, ...]:
    """Answer reports on the one key of a pool."""
    key = given.keys(pool)[0]
    return tuple(s for n in range(times) for s in reported(rule, [(key, report)], pool=pool, tag=f"{pool}{n}x"))


def _looking(given: Given) -> tuple[Step, ...]:
    """Answer every view of both pools, and an acquire from each."""
    return tuple(
        step
        for pool in POOLS
        for step in optional(
            *views(given, pool=pool),
            *(usage(key, pool=pool) for key in given.keys(pool)),
            acquire(pool=pool),
        )
    )


@final
class ChargedToTheVertexPool(Invariant):
    """A vertex failure or usage is charged to the vertex pool alone.

    Why: a failure that is charged to the regular pool takes a sound key out there, and leaves the bad one in use
    (000-8, 000-9).
    How it breaks: the key is looked up in the regular pool first; one table of counts serves both pools.
    Fix: keep every count by pool and key, and let the form that was called say the pool.
    """

    id = "VTX03"
    audits = ("000-8", "000-9")
    requires = ("fail|record",)
    CONFORMING = (
        (
            "given regular=key-1 vertex=vertex-1\nfail(lease=vertex-1, pool=vertex, status=500) -> vertex-1\n"
            "failures(key=vertex-1, pool=vertex) -> 1\nfailures(key=key-1) -> 0\nacquire() -> key-1"
        ),
        (
            'given regular=key-1 vertex=key-1\nfail(lease=key-1, pool=vertex, status=401) -> ""\n'
            "is_valid(key=key-1, pool=vertex) -> False\nis_valid(key=key-1, pool=regular) -> True\nacquire() -> key-1\n"
            'acquire(pool=vertex) -> ""'
        ),
        (
            "given regular=key-1 vertex=key-1\nrecord(lease=key-1, pool=vertex, tokens=5) -> True\n"
            'usage(key=key-1, pool=vertex) -> {"rpm": 1, "tpm": 5}\nusage(key=key-1) -> None'
        ),
    )
    VIOLATING = (
        (
            "given regular=key-1 vertex=vertex-1\nfail(lease=vertex-1, pool=vertex, status=500) -> vertex-1\n"
            "failures(key=key-1) -> 1"
        ),
        (
            "given regular=key-1 vertex=vertex-1\nfail(lease=vertex-1, pool=vertex, status=500) -> vertex-1\n"
            "failures(key=vertex-1, pool=vertex) -> 0"
        ),
        'given regular=key-1 vertex=key-1\nfail(lease=key-1, pool=vertex, status=401) -> ""\nacquire() -> ""',
        (
            'given regular=key-1 vertex=key-1\nfail(lease=key-1, pool=vertex, status=401) -> ""\n'
            'status() -> {"valid_keys": {}, "invalid_keys": {"key-1": 3}}'
        ),
        (
            "given regular=key-1 vertex=key-1\nrecord(lease=key-1, pool=vertex, tokens=5) -> True\n"
            'usage(key=key-1, pool=regular) -> {"rpm": 1, "tpm": 5}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Each kind of report on a vertex key, under a name of its own and under one that both pools have."""
        pools = (
            (("apart", APART), ("shared", SHARED)) if self.policies.both_pools == "separate" else (("apart", APART),)
        )
        for named, given in pools:
            for name, report, times in _reports(self, VERTEX):
                charging = _charging(self, given, VERTEX, report, times)
                yield Workload(name=f"{named}-{name}", given=given, setup=charging, finale=_looking(given))
            if self.policies.counted_on == "record":
                once = replace(given, limits=(("m1", Limits(rpm=1)),), needs=frozenset({"limits"}))
                count = record(given.keys(VERTEX)[0], pool=VERTEX)
                yield Workload(name=f"{named}-spent", given=once, setup=told(self, count), finale=_looking(given))
        for number, form in enumerate(self.claims.forms("fail", VERTEX)[1:], start=1):
            for named, given in pools:
                failed = fail(given.keys(VERTEX)[0], status=None, pool=VERTEX, form=form.name)
                setup = (failed,) * (strikes(self) + 1)
                yield Workload(name=f"{named}-form-{number}", given=given, setup=setup, finale=_looking(given))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a view or a choice that another charging alone explains."""
        return mischarged(moment)


@final
class BothPools(Invariant):
    """A key in both pools follows both_pools, the same in every operation.

    Why: where one operation asks the regular pool first and another one the vertex pool, a key that is out in one
    of them is served from the other, and can never be restored (000-9).
    How it breaks: the pool is looked up by the key, each method in its own order, although the caller named it.
    Fix: let the pool that was named decide everywhere, or refuse such lists when opened.
    """

    id = "VTX04"
    audits = ("000-9",)
    subject = ("open",)
    CONFORMING = (
        (
            'given regular=key-1 vertex=key-1\nopen()\nfail(lease=key-1, pool=regular, status=401) -> ""\n'
            "acquire(pool=vertex) -> key-1\nis_valid(key=key-1, pool=regular) -> False"
        ),
        (
            'given regular=key-1 vertex=key-1\nopen()\nfail(lease=key-1, pool=vertex, status=401) -> ""\n'
            "reset(key=key-1, pool=vertex) -> True\nacquire(pool=vertex) -> key-1"
        ),
        "policy both_pools=reject\ngiven regular=key-1 vertex=key-1\nopen() -> raises typed SharedKey",
    )
    VIOLATING = (
        "policy both_pools=reject\ngiven regular=key-1 vertex=key-1\nopen()",
        "policy both_pools=reject\ngiven regular=key-1 vertex=key-1\nopen() -> raises KeyError",
        "given regular=key-1 vertex=key-1\nopen() -> raises typed SharedKey",
        (
            'given regular=key-1 vertex=key-1\nfail(lease=key-1, pool=regular, status=401) -> ""\n'
            'acquire(pool=vertex) -> ""'
        ),
        (
            'given regular=key-1 vertex=key-1\nfail(lease=key-1, pool=regular, status=401) -> ""\n'
            "is_valid(key=key-1, pool=regular) -> True"
        ),
        (
            'given regular=key-1 vertex=key-1\nfail(lease=key-1, pool=vertex, status=401) -> ""\n'
            'reset(key=key-1, pool=vertex) -> True\nacquire(pool=vertex) -> ""'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Opening; then each kind of report on the key in either pool, and its recovery."""
        if not any(self.claims.forms(name, VERTEX) for name in ("acquire", "fail", "record", "status")):
            return
        two = Given(regular=("key-1", "key-2"), vertex=("vertex-1", "key-2"))
        for name, given in (("one", SHARED), ("two", two)):
            needs = frozenset({"api_keys", "vertex_api_keys"})
            yield Workload(name=f"open-{name}", given=replace(given, needs=needs))
        if self.policies.both_pools == "separate":
            yield Workload(name="fresh", given=SHARED, setup=tuple(acquire(pool=pool) for pool in POOLS))
            for pool in POOLS:
                yield from self._reported(pool)

    def _reported(self, pool: str) -> Iterator[Workload]:
        for name, report, times in _reports(self, pool):
            charging = _charging(self, SHARED, pool, report, times)
            if not names_its_pool(self.claims, charging[-1].name, pool):
                continue
            yield Workload(name=f"{pool}-{name}", given=SHARED, setup=charging, finale=_looking(SHARED))
            if name in ("auth", "struck", "quota") and names_its_pool(self.claims, "reset", pool):
                after = (acquire(pool=pool, optional=True), *views(SHARED, pool=pool))
                setup = (*charging, reset("key-1", pool=pool))
                yield Workload(name=f"{pool}-{name}-reset", given=SHARED, setup=setup, finale=after)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an opening that does not follow the policy, and answers that are those of the other pool."""
        if moment.name != "open":
            return mischarged(moment)
        rejects = self.policies.both_pools == "reject"
        if isinstance(moment.operation.response, Answered if rejects else Raised):
            expected = "an error that the backend declares" if rejects else "it opens"
            return moment.refusal(f"{expected}: both_pools is {self.policies.both_pools!r}", "open ignores both_pools")
        return None
