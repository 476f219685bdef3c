"""The two groups of a status: their shape, and which key belongs into which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_keyconform.catalogue.serving import validity
from pytest_keyconform.model.state import Tri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.catalogue.invariant import Moment, Refusal

GROUPS: Final = ("valid_keys", "invalid_keys")


def in_groups(value: object) -> Iterator[str]:
    """Yield every key that is listed; one that is listed twice comes twice."""
    groups = [value.get(name) for name in GROUPS] if isinstance(value, dict) else []
    for group in groups:
        yield from group if isinstance(group, dict) else ()


def malformed(moment: Moment) -> Refusal | None:
    """Refuse an answer that is no dict with both groups, of a str and an int for each key."""
    value = moment.value
    expected = '{"valid_keys": {key: int}, "invalid_keys": {key: int}}'
    if not isinstance(value, dict):
        return moment.refusal(expected, f"{moment.name} answers no dict")
    for name in GROUPS:
        group = value.get(name)
        if not isinstance(group, dict):
            return moment.refusal(expected, f"{moment.name} has no {name}")
        if any(not isinstance(key, str) or type(count) is not int for key, count in group.items()):
            return moment.refusal(expected, f"{moment.name} has a count that is no int")
    return None


def misplaced(moment: Moment) -> Refusal | None:
    """Refuse a key of the pool in the wrong group, in both or in none, and one that is not of the pool.

    What is listed beside the regular pool in ``all_keys`` is left open.
    """
    if not moment.answered or malformed(moment):
        return None
    members = moment.state.members.get(moment.pool, ())
    strangers = [key for key in in_groups(moment.value) if key not in members]
    if strangers and moment.name != "all_keys":
        expected = f"the keys of the {moment.pool} pool ({', '.join(members) or 'none'}) alone"
        return moment.refusal(expected, f"{moment.name} lists a key that is not of the pool")
    for key in members:
        word = _misplacement(moment, key)
        if word:
            return moment.refusal(_belonging(moment, key), f"{moment.name} lists a key {word}")
    return None


def _misplacement(moment: Moment, key: str) -> str:
    valid, invalid = (key in moment.value[name] for name in GROUPS)
    if valid and invalid:
        return "in both groups"
    if not valid and not invalid:
        return "in no group"
    truth = validity(moment, key)
    if truth is not Tri.MAYBE and valid is not (truth is Tri.YES):
        return "in the wrong group"
    return ""


def _belonging(moment: Moment, key: str) -> str:
    named = {Tri.YES: "in valid_keys", Tri.NO: "in invalid_keys", Tri.MAYBE: "in exactly one group"}
    return f"{key} {named[validity(moment, key)]}"
