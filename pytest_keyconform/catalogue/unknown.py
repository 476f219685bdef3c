"""UNK01 to UNK04: models that are not configured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.reading import used, wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import (
    ENTRY_POINTS,
    FIRST,
    ONE,
    PAIR,
    SECOND,
    asks,
    given_back,
    hurt,
    served_though,
    unfit_replacement,
    wrong_validity,
)
from pytest_keyconform.catalogue.steps import POOLS, acquire, fail, random_key, record, usage, views
from pytest_keyconform.model.names import known
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Answered, Raised, Ref
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.workload import Step

TRIO = Given()
STRANGE, OTHER = "mystery", "enigma"
ACCEPTED = ("on-the-fly", "fallback-model")


def configured(rule: Invariant, given: Given, *fields: str) -> Given:
    """Answer the pool for a workload about an unknown model: where it matters which are known, they must be told."""
    needed = {"fallback-model": ("limits", "default_model"), "reject": ("limits",)}
    fields += needed.get(rule.policies.unknown_model, ())
    return replace(given, needs=given.needs.union(fields))


def is_unknown(moment: Moment) -> bool:
    """Tell whether a model was named that maps to no configured one."""
    return not known(moment.model, moment.oracle.given, moment.oracle.policies)


def unreported(moment: Moment) -> Refusal | None:
    """Refuse that a report on an unknown model raises while another key is usable."""
    raised = moment.name == "fail" and isinstance(moment.operation.response, Raised)
    return unfit_replacement(moment) if raised and is_unknown(moment) else None


@final
class UnknownModelServed(Invariant):
    """Acquire for an unknown model follows `unknown_model`, directly and on the retry path alike.

    Why: a new model name reaches production before the limits table does; the same request must not work at first
    and crash in its retry (000-11, 000-10).
    How it breaks: a look-up raises KeyError; acquire knows a way out and the failure path none; after a failure the
    entry is missing.
    Fix: map the name to its entry in one function, and call it first on every path.
    """

    id = "UNK01"
    audits = ("000-11", "000-10")
    CONFORMING = (
        "acquire(model=mystery) -> key-1\nfail(lease=key-1, model=mystery, status=500) -> key-2",
        (
            "policy unknown_model=reject\nacquire(model=mystery) -> raises typed UnknownModel\n"
            "fail(lease=key-1, model=mystery, status=500) -> raises typed UnknownModel"
        ),
        (
            "policy unknown_model=fallback-model\ngiven regular=key-1 m1.rpm=1\nrecord(lease=key-1, model=m1) -> True\n"
            'acquire(model=mystery) -> ""'
        ),
        "given regular=key-1 m1.rpm=1\nrecord(lease=key-1, model=m1) -> True\nacquire(model=mystery) -> key-1",
        'policy unknown_model=reject\ngiven regular=\nacquire(model=mystery) -> ""',
    )
    VIOLATING = (
        "acquire(model=mystery) -> raises KeyError",
        'acquire(model=mystery) -> ""',
        "fail(lease=key-1, model=mystery, status=500) -> raises KeyError",
        'fail(lease=key-1, model=mystery, status=500) -> ""',
        "policy unknown_model=reject\nacquire(model=mystery) -> key-1",
        'policy unknown_model=reject\nacquire(model=mystery) -> ""',
        "policy unknown_model=reject\nfail(lease=key-1, model=mystery, status=500) -> raises KeyError",
        (
            "policy unknown_model=fallback-model\ngiven regular=key-1 m1.rpm=1\nrecord(lease=key-1, model=m1) -> True\n"
            "acquire(model=mystery) -> key-1"
        ),
        (
            "policy unknown_model=fallback-model\ngiven m1.rpm=1\nrecord(lease=key-2, model=m1) -> True\n"
            "fail(lease=key-1, model=mystery, status=401) -> key-2"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Asked for through every form, before and after failures; and with a known model exhausted."""
        for pool in POOLS:
            given = configured(self, ONE)
            for number, form in enumerate(self.claims.forms("acquire", pool)):
                if "model" in form.parameters:
                    ask = acquire(model=STRANGE, pool=pool, form=form.name if number else ...)
                    yield Workload(name=f"{pool}-form-{number}", given=given, setup=(ask,))
            if self.policies.unknown_model != "reject" or self.policies.tenure != "lease":
                yield from self._retries(pool)  # else there is no lease to report on
            yield from self._exhausted(pool)
        yield Workload(name="random", given=configured(self, ONE), setup=(random_key(model=STRANGE),))

    def _retries(self, pool: str) -> Iterator[Workload]:
        given, ask = configured(self, PAIR), acquire(model=STRANGE, pool=pool)
        for status in (500, 429, 401, 400, None):
            direct = fail(FIRST[pool], model=STRANGE, status=status, pool=pool)
            yield Workload(name=f"{pool}-retry-{status}", given=given, setup=(direct,), finale=(ask,))
        before = (hurt(self, FIRST[pool], pool=pool), hurt(self, FIRST[pool], status=429, pool=pool))
        for number, failed in enumerate(before):
            yield Workload(name=f"{pool}-after-{number}", given=given, setup=failed, finale=(ask,))
        again = fail(SECOND[pool], model=STRANGE, status=500, pool=pool, retries=1)
        first = hurt(self, FIRST[pool], model=STRANGE, pool=pool)
        yield Workload(name=f"{pool}-again", given=given, setup=(*first, again), finale=(ask,))

    def _exhausted(self, pool: str) -> Iterator[Workload]:
        """Exhaust the default model, and the other one: only the default one may matter."""
        ask = acquire(model=STRANGE, pool=pool)
        for model in (DEFAULT_MODEL, "m2"):
            mark = hurt(self, FIRST[pool], status=429, model=model, pool=pool)
            alone, both = configured(self, ONE, "limits"), configured(self, PAIR, "limits")
            yield Workload(name=f"{pool}-{model}-marked-alone", given=alone, setup=(*mark, ask))
            yield Workload(name=f"{pool}-{model}-marked", given=both, setup=(*mark, *self._ask_twice(pool)))
            if self.policies.counted_on == "none":
                continue
            spent = self.taking("a", model=model, pool=pool)
            if self.policies.counted_on == "record":
                spent = (record(FIRST[pool], model=model, pool=pool), *given_back(self, FIRST[pool], pool=pool))
            limits = (("m1", Limits(rpm=1)), ("m2", Limits(rpm=1)))
            once, more = (configured(self, replace(pool_of, limits=limits), "limits") for pool_of in (ONE, PAIR))
            yield Workload(name=f"{pool}-{model}-spent", given=once, setup=(*spent, ask))
            report = fail(SECOND[pool], model=STRANGE, status=401, pool=pool)
            if self.policies.counted_on == "record" and self.policies.unknown_model != "reject":
                yield Workload(name=f"{pool}-{model}-spent-retry", given=more, setup=(*spent, report))

    def _ask_twice(self, pool: str) -> tuple[Step, ...]:
        return () if self.policies.unknown_model == "reject" else asks(self, model=STRANGE, pool=pool)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what the declared policy does not answer for an unknown model."""
        if moment.name not in (*ENTRY_POINTS, "fail") or not is_unknown(moment):
            return None
        if moment.operation.undeclared:
            kind = getattr(moment.operation.response, "kind", "")
            expected = f"what unknown_model = {self.policies.unknown_model!r} declares"
            return moment.refusal(expected, f"{moment.name} of an unknown model raises {kind}")
        if self.policies.unknown_model == "reject":
            return self._unrejected(moment)
        if moment.name == "fail":
            return unfit_replacement(moment)
        return unusable_served(moment) or nothing_served(moment)

    def _unrejected(self, moment: Moment) -> Refusal | None:
        answered = moment.name == "acquire" and isinstance(moment.operation.response, Answered)
        if not answered or Tri.YES not in moment.servable().values():
            return None
        return moment.refusal("an error that the backend declares", "acquire of an unknown model is not rejected")


@final
class UnknownModelRecorded(Invariant):
    """Usage of an unknown model is recorded and can be read back.

    Why: what is not recorded is not limited, and nobody sees that the table lacks a model (000-29).
    How it breaks: the record is dropped with False, or in silence; usage is looked up in the configured models only.
    Fix: make the entry when it is first named, or use the fallback model's, in records and in look-ups alike.
    """

    id = "UNK02"
    audits = ("000-29",)
    requires = ("record", "usage")
    applies: ClassVar = {"unknown_model": ACCEPTED, "counted_on": ("record", "acquire")}
    CONFORMING = (
        'record(lease=key-1, model=mystery, tokens=5) -> True\nusage(key=key-1, model=mystery) -> {"rpm": 1, "tpm": 5}',
        "usage(key=key-1, model=mystery) -> None",
        (
            "policy unknown_model=fallback-model\nrecord(lease=key-1, model=mystery, tokens=5) -> True\n"
            'usage(key=key-1, model=m1) -> {"rpm": 1}\nusage(key=key-1, model=mystery) -> {"rpm": 1}'
        ),
        "policy unknown_key=typed-error\nrecord(lease=stranger-1, model=mystery) -> raises typed UnknownKey",
    )
    VIOLATING = (
        "record(lease=key-1, model=mystery, tokens=5) -> False",
        "record(lease=key-1, model=mystery, tokens=5) -> True\nusage(key=key-1, model=mystery) -> None",
        'record(lease=key-1, model=mystery, tokens=5) -> True\nusage(key=key-1, model=mystery) -> {"rpm": 0}',
        "record(lease=key-1, model=mystery, tokens=5) -> True\nusage(key=key-1, model=mystery) -> {}",
        "record(lease=key-1, model=mystery, tokens=5) -> raises typed UnknownModel",
        "usage(key=key-1, model=mystery) -> raises KeyError",
        (
            "policy unknown_model=fallback-model\nrecord(lease=key-1, model=mystery, tokens=5) -> True\n"
            'usage(key=key-1, model=m1) -> {"rpm": 0}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """One and two reports, in both pools, after failures, beside known and other unknown models; then read."""
        for pool in POOLS:
            given, key = configured(self, ONE), FIRST[pool]
            told = (record(key, model=STRANGE, tokens=5, pool=pool), *given_back(self, key, pool=pool))
            read = (usage(key, model=STRANGE, pool=pool),)
            failed = hurt(self, key, model=STRANGE, pool=pool)
            yield Workload(name=f"{pool}-unread", given=given, setup=read)
            yield Workload(name=f"{pool}-once", given=given, setup=(*told, *read))
            yield Workload(name=f"{pool}-twice", given=given, setup=(*told, *told, *read))
            yield Workload(name=f"{pool}-after", given=given, setup=(*failed, *told, *read))
            yield Workload(name=f"{pool}-before", given=given, setup=(*read, *told, *read))
            taken = acquire("a", model=STRANGE, pool=pool)
            full = (taken, record(Ref("a"), model=STRANGE, tokens=5, pool=pool))
            yield Workload(name=f"{pool}-acquired", given=given, setup=(*full, *read))
        told = (record("key-1", model=STRANGE, tokens=5), *given_back(self, "key-1"))
        others = tuple(usage("key-1", model=model) for model in (STRANGE, OTHER, DEFAULT_MODEL, "m2"))
        yield Workload(name="others", given=configured(self, PAIR, "limits"), setup=(*told, *others))
        yield Workload(name="other-key", given=configured(self, PAIR), setup=(*told, usage("key-2", model=STRANGE)))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse that a report is not recorded, and a usage that does not show it."""
        operation = moment.operation
        if moment.name not in ("record", "usage") or not moment.state.knows(moment.pool, moment.key):
            return None
        raised = isinstance(operation.response, Raised)
        if is_unknown(moment) and (raised or (moment.name == "record" and moment.answered and moment.value is False)):
            word = "raises" if raised else "answers False"
            return moment.refusal("that it is recorded and read", f"{moment.name} of an unknown model {word}")
        if moment.name == "usage" and moment.answered and moment.value == {} and is_unknown(moment):
            counted = any(bounds.low > 0 for bounds in used(moment).values())
            return moment.refusal("what was recorded", "usage of an unknown model is empty") if counted else None
        return wrong_usage(moment)


@final
class UnknownModelMarked(Invariant):
    """A 429 on an unknown model is remembered for that key and model, and for no other key or model.

    Why: the retry goes to the key that just had no quota left, again and again (000-10, 000-29).
    How it breaks: a model without an entry is not updated at all; the mark goes to the default model, or to the key.
    Fix: make the entry first, then mark it as any other.
    """

    id = "UNK03"
    audits = ("000-10", "000-29")
    requires = ("acquire", "fail|record")
    applies: ClassVar = {"unknown_model": ACCEPTED}
    CONFORMING = (
        (
            "fail(lease=key-1, model=mystery, status=429) -> key-2\nacquire(model=mystery) -> key-3\n"
            "acquire(model=m1) -> key-1"
        ),
        (
            "policy unknown_model=fallback-model\nfail(lease=key-1, model=mystery, status=429) -> key-2\n"
            "acquire(model=m1) -> key-2\nacquire(model=m2) -> key-1"
        ),
    )
    VIOLATING = (
        "fail(lease=key-1, model=mystery, status=429) -> key-2\nacquire(model=mystery) -> key-1",
        'given regular=key-1\nfail(lease=key-1, model=mystery, status=429) -> ""\nacquire(model=m1) -> ""',
        'given regular=key-1\nfail(lease=key-1, model=mystery, status=429) -> ""\nacquire(model=enigma) -> ""',
        'fail(lease=key-1, model=mystery, status=429) -> key-2\nacquire(model=mystery) -> ""',
        (
            "policy unknown_model=fallback-model\nfail(lease=key-1, model=mystery, status=429) -> key-2\n"
            "acquire(model=m1) -> key-1"
        ),
        "record(lease=key-1, model=mystery, outcome=quota) -> True\nacquire(model=mystery) -> key-1",
        "fail(lease=key-1, model=mystery, status=429) -> raises typed UnknownModel",
    )

    def workloads(self) -> Iterator[Workload]:
        """One of several keys marked by either report; that model asked for, and each other one on that key alone."""
        for pool in POOLS:
            key = FIRST[pool]
            told = (record(key, model=STRANGE, tokens=0, outcome="quota", pool=pool), *given_back(self, key, pool=pool))
            for name, mark in (("fail", hurt(self, key, status=429, model=STRANGE, pool=pool)), ("record", told)):
                after = asks(self, keys=len(TRIO.keys(pool)), model=STRANGE, pool=pool)
                yield Workload(name=f"{pool}-{name}", given=configured(self, TRIO), setup=(*mark, *after))
                for model in (DEFAULT_MODEL, "m2", OTHER):
                    other = acquire(model=model, pool=pool)
                    given = configured(self, ONE)
                    yield Workload(name=f"{pool}-{name}-{model}", given=given, setup=(*mark, other))
            mark = hurt(self, key, status=429, model=STRANGE, pool=pool)
            of_default = asks(self, pool=pool)
            yield Workload(name=f"{pool}-default", given=configured(self, PAIR), setup=(*mark, *of_default))
        known_first = (*self.taking("a", model=STRANGE), *hurt(self, "key-1", status=429, model=STRANGE))
        after = asks(self, keys=3, model=STRANGE)
        yield Workload(name="asked-before", given=configured(self, TRIO), setup=(*known_first, *after))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse the marked key for the model, and nothing for another key or model."""
        if moment.name in ENTRY_POINTS:
            return served_though(moment, "marked") or nothing_served(moment)
        return unreported(moment)


@final
class UnknownModelTakesOut(Invariant):
    """A 401/403 reported on an unknown model takes the key out everywhere.

    Why: the key is revoked whatever model was asked for (000-10).
    How it breaks: the report stops at the unknown model; the flag is set on the rows of the configured models, or on
    that one row.
    Fix: take the key out before the model is looked at.
    """

    id = "UNK04"
    audits = ("000-10",)
    requires = ("acquire", "fail|record")
    applies: ClassVar = {"unknown_model": ACCEPTED}
    CONFORMING = (
        (
            "fail(lease=key-1, model=mystery, status=401) -> key-2\nacquire(model=m1) -> key-2\n"
            "is_valid(key=key-1) -> False"
        ),
    )
    VIOLATING = (
        "fail(lease=key-1, model=mystery, status=401) -> key-2\nacquire(model=m1) -> key-1",
        "fail(lease=key-1, model=mystery, status=403) -> key-2\nacquire(model=mystery) -> key-1",
        "record(lease=key-1, model=mystery, outcome=auth) -> True\nis_valid(key=key-1) -> True",
        "fail(lease=key-1, model=mystery, status=401) -> raises typed UnknownModel",
    )

    def workloads(self) -> Iterator[Workload]:
        """Reported in either way; then known, unknown and the same model asked for, and the views."""
        for pool in POOLS:
            key = FIRST[pool]
            told = (record(key, model=STRANGE, tokens=0, outcome="auth", pool=pool), *given_back(self, key, pool=pool))
            for name, out in (
                ("401", hurt(self, key, status=401, model=STRANGE, pool=pool)),
                ("403", hurt(self, key, status=403, model=STRANGE, pool=pool)),
                ("record", told),
            ):
                seen = (*out, *views(PAIR, pool=pool))
                yield Workload(name=f"{pool}-{name}", given=configured(self, PAIR), setup=seen)
                for model in (DEFAULT_MODEL, "m2", STRANGE, OTHER):
                    after = (*out, *asks(self, model=model, pool=pool))
                    yield Workload(name=f"{pool}-{name}-{model}", given=configured(self, PAIR), setup=after)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse that the key is served for any model, or told valid."""
        return served_though(moment, "barred") or wrong_validity(moment) or unreported(moment)
