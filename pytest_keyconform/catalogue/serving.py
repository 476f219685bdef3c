"""Refusals that several rules share: a key that must not be served, and a call that must not go away empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.catalogue.invariant import Refusal
from pytest_keyconform.model.names import known
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Answered, Raised, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_keyconform.catalogue.invariant import Moment


def unusable_served(moment: Moment) -> Refusal | None:
    """Refuse a key that was certainly unusable, under ``fallback`` only while another one was usable."""
    served = moment.served
    if served is None:
        return None
    servable = moment.servable()
    if servable.get(served) is not Tri.NO:
        return None
    usable = [key for key, truth in servable.items() if truth is Tri.YES]
    if moment.oracle.policies.exhaustion == "fallback" and not usable:
        return None
    expected = f"a usable key: {', '.join(usable)}" if usable else "no key: none is usable"
    return moment.refusal(expected, f"{moment.name} serves an unusable key")


def nothing_served(moment: Moment) -> Refusal | None:
    """Refuse a sentinel or an error while a key was certainly usable and free."""
    raised = isinstance(moment.operation.response, Raised)
    if not (moment.nothing or raised) or moment.operation.get("bad"):
        return None
    usable = [key for key, truth in moment.servable().items() if truth is Tri.YES]
    if not usable:
        return None
    word = "raises" if raised else "answers nothing"
    return moment.refusal(f"a usable key: {', '.join(usable)}", f"{moment.name} {word} while a key is usable")


def no_replacement(moment: Moment) -> Refusal | None:
    """Refuse a failure report that goes away empty while another key was certainly usable and free."""
    raised = isinstance(moment.operation.response, Raised)
    if moment.name != "fail" or not (raised or (moment.answered and moment.nothing)):
        return None
    others = [key for key, truth in moment.servable().items() if truth is Tri.YES and key != moment.key]
    if not others:
        return None
    return moment.refusal(f"another usable key: {', '.join(others)}", "fail answers no key while another one is usable")


def usable(moment: Moment) -> dict[str, Tri]:
    """Answer for each key of the pool whether it was usable, at the call and at the return; leases do not matter.

    A form that knows no model, of a backend that does, may go by the default model or by none.
    """
    oracle, operation = moment.oracle, moment.operation
    times = {operation.at, operation.at if operation.until is None else operation.until}
    truths: dict[str, Tri] = {}
    for key in moment.state.members.get(moment.pool, ()):
        cell = (moment.pool, key, oracle.entry(moment.model))
        seen = {oracle.usable(moment.state, cell, now) for now in times}
        truth = seen.pop() if len(seen) == 1 else Tri.MAYBE
        valid = oracle.valid(moment.state, cell[:2], operation.at)
        truths[key] = Tri.MAYBE if truth is Tri.NO and valid is not Tri.NO and not knows_model(moment) else truth
    return truths


def validity(moment: Moment, key: str) -> Tri:
    """Tell whether a key of the pool that is asked about was valid, at the call and at the return.

    Where acquire knows no model a mark takes the key out: it may then be listed as invalid or not.
    """
    oracle, operation, at = moment.oracle, moment.operation, (moment.pool, key)
    times = {operation.at, operation.at if operation.until is None else operation.until}
    seen = {oracle.valid(moment.state, at, now) for now in times}
    truth = seen.pop() if len(seen) == 1 else Tri.MAYBE
    marked = any(cell[:2] == at for cell in moment.state.marks)
    modelless = not oracle.claims.takes("acquire", "model", pool=moment.pool)
    return truth & Tri.MAYBE if marked and modelless else truth


def knows_model(moment: Moment) -> bool:
    """Tell whether the form that was asked goes by models, as far as the backend's acquire does."""
    claims = moment.oracle.claims
    forms = claims.forms(moment.name, moment.pool)
    wanted = moment.operation.get("form")
    form = next((one for one in forms if wanted in (None, one.name)), None)
    takes = form is None or "model" in form.parameters
    return takes or not claims.takes("acquire", "model", pool=moment.pool)


def by_exhaustion(moment: Moment, truths: Mapping[str, Tri]) -> Refusal | None:
    """Refuse what the declared ``exhaustion`` does not answer when nothing is usable.

    ``truths`` tell of each key of the pool whether it was usable; while one certainly was, this promise is silent.
    """
    policies, response = moment.oracle.policies, moment.operation.response
    if Tri.YES in truths.values() or not isinstance(response, Answered | Raised) or _strange(moment):
        return None
    if isinstance(response, Answered) and not moment.answered:
        return None
    if moment.served is not None:
        lawful = truths.get(moment.served) is Tri.MAYBE or (
            policies.exhaustion == "fallback" and moment.served in truths
        )
    else:
        lawful = _empty_handed(moment, response, truths)
    if lawful:
        return None
    return moment.refusal(_expected(moment, truths), f"{moment.name} with nothing usable {_outcome(moment)}")


def _empty_handed(moment: Moment, response: Response, truths: Mapping[str, Tri]) -> bool:
    policies = moment.oracle.policies
    # A fallback has no key to fall back on in an empty pool, and perhaps none where all are held.
    keyless = policies.exhaustion == "fallback" and (not truths or policies.tenure == "lease")
    if isinstance(response, Raised):
        return response.typed and (policies.exhaustion in ("typed-error", "blocks") or keyless)
    if moment.name == "fail" and moment.value in ("", policies.sentinel):
        return True
    return moment.value == policies.sentinel and (policies.exhaustion in ("sentinel", "blocks") or keyless)


def _strange(moment: Moment) -> bool:
    """Tell whether the model or the key that was named allows an error of its own."""
    policies, model = moment.oracle.policies, moment.model
    if moment.operation.get("bad") or not (model is None or isinstance(model, str)):
        return True
    if policies.unknown_model == "reject" and not known(model, moment.oracle.given, policies):
        return True
    stranger = moment.name == "fail" and not moment.state.pools_of(moment.key)
    return stranger and policies.unknown_key == "typed-error"


def _expected(moment: Moment, truths: Mapping[str, Tri]) -> str:
    policies = moment.oracle.policies
    sentinel = f"the sentinel {policies.sentinel!r}"
    said = {
        "sentinel": sentinel,
        "typed-error": "an error that the backend declares",
        "blocks": f"{sentinel} or an error that the backend declares, by the deadline",
        "fallback": f"a key of the {moment.pool} pool" if truths else f"{sentinel} or a declared error",
    }[policies.exhaustion]
    return f"{said}: no key is usable and exhaustion is {policies.exhaustion!r}"


def _outcome(moment: Moment) -> str:
    response = moment.operation.response
    if isinstance(response, Raised):
        return f"raises {response.kind}"
    if moment.served is not None:
        return "serves a key"
    return "answers nothing" if moment.nothing else "answers something else"


def late(moment: Moment, seconds: float) -> Refusal | None:
    """Refuse an answer that took longer, in virtual time."""
    operation = moment.operation
    if operation.until is None or operation.until - operation.at <= seconds:
        return None
    taken = f"after {operation.until - operation.at:g} s"
    refusal = moment.refusal(f"an answer within {seconds:g} s", f"{moment.name} with nothing usable takes too long")
    return Refusal(f"{refusal.observed} {taken}", refusal.expected, refusal.signature)


def at_limit(moment: Moment) -> Refusal | None:
    """Refuse a key that had reached a limit, and an empty answer while a key below its limits was usable."""
    oracle, operation = moment.oracle, moment.operation
    limits = oracle.given.limits_of(oracle.entry(moment.model))
    if limits is None or (limits.rpm, limits.tpm, limits.rpd) == (None, None, None) or not knows_model(moment):
        return None
    if moment.served is None:
        return nothing_served(moment)
    cell = (moment.pool, moment.served, oracle.entry(moment.model))
    times = (operation.at, operation.at if operation.until is None else operation.until)
    spent = all(oracle.below_limits(moment.state, cell, now) is Tri.NO for now in times)
    # A fallback is served instead of a sentinel: where a key below its limits was to be served.
    return unusable_served(moment) if spent or oracle.policies.exhaustion == "fallback" else None
