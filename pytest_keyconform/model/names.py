"""How the name of a model leads to the entry whose limits and counters it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Given

BOUNDARIES = ("-", "@", ":")


def matched(name: str, given: Given, policies: Policies) -> str | None:
    """Answer the configured name that this one maps to, or None where no configured one fits."""
    names = [configured for configured, _ in given.limits]
    if name in names or policies.model_match == "exact":
        return name if name in names else None
    fitting = (n for n in names if name.startswith(tuple(n + mark for mark in BOUNDARIES)))
    return max(fitting, key=len, default=None)


def entry(name: object, given: Given, policies: Policies) -> str:
    """Answer the entry that a name is counted under: a configured one, the default one, or one of its own."""
    if name is None or name == "":
        return given.default_model
    text = str(name)
    found = matched(text, given, policies)
    if found is not None:
        return found
    return given.default_model if policies.unknown_model == "fallback-model" else text


def known(name: object, given: Given, policies: Policies) -> bool:
    """Tell whether a name maps to a configured entry."""
    return not name or matched(str(name), given, policies) is not None
