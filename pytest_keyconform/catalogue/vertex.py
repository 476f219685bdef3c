"""VTX: the vertex pool."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.calls import optional
from pytest_keyconform.catalogue.charging import mischarged, names_its_pool
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.provoking import failing, reported, strikes
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
        "fail(lease=vertex-1, pool=vertex, model=m1, status=429) -> vertex-2\nacquire(pool=vertex) -> vertex-2\n"
        "acquire(pool=vertex, model=m2) -> vertex-1",
        "policy exhaustion=typed-error\ngiven vertex=vertex-1\n"
        "fail(lease=vertex-1, pool=vertex, model=m1, status=429) -> raises typed NoKey\n"
        "acquire(pool=vertex, model=m1) -> raises typed NoKey",
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
                    yield Workload(name=f"{number}-{state}-{name}", given=given, setup=steps, finale=asks)

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
        "fail(lease=vertex-1, pool=vertex, retries=0) -> vertex-2\n"
        "fail(lease=vertex-2, pool=vertex, model=m2, retries=0) -> vertex-1",
        'fail(lease=vertex-1, pool=vertex, retries=3) -> ""',
        "policy sentinel=None\nfail(lease=vertex-1, pool=vertex, retries=3) -> None",
        "policy sentinel=None\ngiven vertex=vertex-1\nfail(lease=vertex-1, pool=vertex, status=401, retries=0) -> None",
        "policy exhaustion=typed-error\ngiven vertex=vertex-1\n"
        "fail(lease=vertex-1, pool=vertex, status=401, retries=0) -> raises typed NoKey",
        "fail(lease=key-1, pool=regular, retries=0) -> raises TypeError",
    )
    VIOLATING = (
        "fail(lease=vertex-1, pool=vertex, retries=0) -> raises TypeError",
        "fail(lease=vertex-1, pool=vertex, retries=0) -> key-1",
        "fail(lease=vertex-1, pool=vertex, retries=0) -> None",
        "fail(lease=vertex-1, pool=vertex, retries=3) -> None",
        "policy sentinel=None\nfail(lease=vertex-1, pool=vertex, retries=0) -> None",
        "fail(lease=vertex-1, pool=vertex, retries=0) -> True",
        "policy exhaustion=typed-error\nfail(lease=vertex-1, pool=vertex, retries=0) -> raises typed NoKey",
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
        limit = moment.oracle.given.max_retries if moment.oracle.told("max_retries") else 1
        needless = bool(others) and isinstance(retries, int) and retries < limit
        if isinstance(moment.operation.response, Raised):
            form = moment.form
            modelless = moment.model is None and form is not None and not _does_without_model(form)
            wrong = needless and not modelless and not moment.operation.get("bad")
        else:
            wrong = moment.answered and (self.policies.sentinel is not None or needless)
        expected = f"a key of the vertex pool ({', '.join(others)})" if others else "the sentinel \"\""
        return moment.refusal(expected, "fail of a vertex key answers no str") if wrong else None
