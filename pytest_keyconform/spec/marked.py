"""YAML as plain values that remember their lines, so that what is wrong with one can be pointed at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from yaml import MappingNode, Node, SafeLoader

LARGEST = 20_000  # values in one file; aliases of aliases make more of a few lines

Place = tuple[str | int, ...]


class Malformed(Exception):
    """The text is not the YAML that is read here: a line, counted from 1, and what is wrong there."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Marked:
    """A plain value, and the line at which each part of it begins, counted from 1, by the way that leads there."""

    plain: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """Answer the line of a place; parts of it that lead nowhere are passed over."""
        found: Place = ()
        for part in place:
            longer = (*found, part)
            found = longer if longer in self.lines else found
        return self.lines.get(found, 1)


def read(text: str) -> Marked:
    """Read one YAML document; raises `Malformed`."""
    import yaml

    loader: SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise Malformed(1, "expected a mapping, found an empty file")
        reading = _Reading(loader)
        return Marked(reading.value(node, ()), reading.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Malformed(1 if mark is None else mark.line + 1, f"expected YAML, but {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise Malformed(1, f"expected YAML, but {error}") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Reading:
    """``lines`` fills as nodes are visited; ``_above`` are those that stand around the one that is read."""

    def __init__(self, loader: SafeLoader) -> None:
        import yaml

        self.lines: dict[Place, int] = {}
        self._loader = loader
        self._mapping, self._sequence = yaml.MappingNode, yaml.SequenceNode
        self._above: list[Node] = []

    def value(self, node: Node, place: Place) -> Any:  # noqa: ANN401 - whatever stands there
        line = node.start_mark.line + 1
        self.lines.setdefault(place, line)
        if len(self.lines) > LARGEST:
            raise Malformed(line, f"expected at most {LARGEST} values in a file")
        if any(node is one for one in self._above):
            raise Malformed(line, "expected a value, found an alias of what stands around it")
        self._above.append(node)
        try:
            if isinstance(node, self._mapping):
                return dict(self._pairs(node, place))
            if isinstance(node, self._sequence):
                return [self.value(item, (*place, number)) for number, item in enumerate(node.value)]
            return self._loader.construct_object(node)
        finally:
            self._above.pop()

    def _pairs(self, node: MappingNode, place: Place) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for name_node, item in node.value:
            line = name_node.start_mark.line + 1
            name = self._loader.construct_object(name_node)
            if not isinstance(name, str):
                raise Malformed(line, f"expected a name, found {name!r}; put it in quotes")
            if name in seen:
                raise Malformed(line, f"expected each name once, found {name!r} again")
            seen.add(name)
            self.lines[*place, name] = line
            yield name, self.value(item, (*place, name))
