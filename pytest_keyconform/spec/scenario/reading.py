"""From the text of a file to a scenario, or to an error that names the file and the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pytest_keyconform.errors import ScenarioError
from pytest_keyconform.operation import shown
from pytest_keyconform.spec import marked
from pytest_keyconform.spec.scenario import Scenario
from pytest_keyconform.spec.scenario.checks import problems
from pytest_keyconform.spec.scenario.parts import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from pytest_keyconform.spec.marked import Marked, Place

REPHRASED = (
    ("Value error, ", ""),
    ("Input should be ", "expected "),
    ("String should ", "expected a string that should "),
    ("Tuple should have at least 1 item after validation, not 0", "expected at least one, found none"),
    ("Dictionary should have at least 1 item after validation, not 0", "expected at least one, found none"),
)
# What is lacking may only be misspelt, and a container that lost its only item to an error is said to be empty.
LAST = ("missing", "too_short")


def load(path: Path) -> Scenario:
    """Read a file; raises `ScenarioError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ScenarioError(f"{path}: expected a scenario file that can be read, but {reason}") from None
    return read(text, str(path))


def read(text: str, where: str) -> Scenario:
    """Read a text; ``where`` is what messages call its file. Raises `ScenarioError`."""
    try:
        found = marked.read(text)
    except marked.Malformed as malformed:
        raise ScenarioError(f"{where}:{malformed.line}: {malformed.problem}") from None
    try:
        scenario = Scenario.model_validate(found.plain)
    except ValidationError as error:
        each = sorted(error.errors(), key=lambda one: LAST.index(one["type"]) if one["type"] in LAST else -1)
        raise ScenarioError(_told(where, found, each[0])) from None
    for place, problem in problems(scenario):
        raise ScenarioError(_placed(where, found, place, problem))
    return scenario


def _told(where: str, found: Marked, error: ErrorDetails) -> str:
    place = error["loc"]
    match error["type"]:
        case "extra_forbidden":
            names = _names(place)
            text = f"expected one of {', '.join(names)}, found {place[-1]!r}{nearest(str(place[-1]), names)}"
            return _placed(where, found, place, text)
        case "missing":
            return _placed(where, found, place[:-1], f"expected {place[-1]!r}, found none")
        case kind:
            text = error["msg"]
            for before, after in REPHRASED:
                text = text.replace(before, after)
            own = kind in ("value_error", "too_short")
            return _placed(where, found, place, text if own else f"{text}, found {shown(error['input'])}")


def _placed(where: str, found: Marked, place: Place, problem: str) -> str:
    known = _known(found, place)
    way = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in known).lstrip(".")
    return f"{where}:{found.line(place)}: {f'{way}: ' if way else ''}{problem}"


def _known(found: Marked, place: Place) -> Place:
    """Leave out of a place what pydantic adds to it: the names of alternatives."""
    known: Place = ()
    for part in place:
        known = (*known, part) if (*known, part) in found.lines else known
    return known


def _names(place: Sequence[str | int]) -> list[str]:
    """Answer the names that may stand where an unknown one does."""
    schema = Scenario.model_json_schema(by_alias=True)
    node: dict[str, Any] = schema
    for part in place[:-1]:
        node = _inside(schema, node, part)
    return list(node.get("properties", {}))


def _inside(schema: dict[str, Any], node: dict[str, Any], part: str | int) -> dict[str, Any]:
    if isinstance(part, int):
        return _resolved(schema, node.get("items", node))
    return _resolved(schema, node.get("properties", {}).get(part) or node.get("additionalProperties") or node)


def _resolved(schema: dict[str, Any], node: object) -> dict[str, Any]:
    """Follow references, and the first alternative that is one."""
    while isinstance(node, dict):
        options = node.get("anyOf") or node.get("oneOf") or node.get("allOf")
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        elif options:
            node = next((one for one in options if "$ref" in one), options[0])
        else:
            return node
    return {}
