"""Refusals that several rules share: a key that must not be served, and a call that must not go away empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.catalogue.invariant import Refusal
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Raised

if TYPE_CHECKING:
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
