"""The text of the script: the options as a table of Lua, and the files of ``lua`` after it."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyconform_reference.options import Recovery
    from keyconform_reference.stores.protocol import Rules

FILES = (("clock", "tallies"), ("states", "lanes", "serving", "operations", "views"))
"""What comes before and after the choice of the windows."""
_HEADS = re.compile(r"^(?=local |function )", re.MULTILINE)
_WORDS = re.compile(r"(?<![.:\w])[A-Za-z_]\w*")
_END = """
if read_time() and OPERATION ~= 'shift' then return redis.error_reply('SETBACK the clock was set back') end
return operations.{operation}()
"""
LOOKS = ("row", "rows", "standing", "standings", "size", "comeback")
"""What only looks: it moves the kept time once a second, so that looking is seldom written to the disk."""


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A definition of Lua: the names it defines, and those it uses."""

    text: str
    names: frozenset[str]
    uses: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Part:
        """Read a definition: that of a function, of an operation, or of some values."""
        head = text.partition("\n")[0]
        if head.startswith("function "):
            names = {head.removeprefix("function ").partition("(")[0]}
        elif head.startswith("local function "):
            names = {head.removeprefix("local function ").partition("(")[0]}
        else:
            names = set(_WORDS.findall(head.removeprefix("local ").partition("=")[0]))
        return cls(text, frozenset(names), frozenset(_WORDS.findall(text)))


def script_of(operation: str, rules: Rules) -> str:
    """Return the script of one operation: what it needs of the files of ``lua``, and the options as a table.

    Redis runs a script from its top at each call, and a definition that nobody needs takes time there. The options
    are part of it, so that no call has to carry them.
    """
    before, after = _parts()
    made = [*_made(operation, rules), *before, *_tallies(rules), *after]
    wanted, needed = {f"operations.{operation}", "read_time", "operations", "OPERATION"}, set[str]()
    while wanted:
        needed |= wanted
        wanted = {name for part in made if part.names & wanted for name in part.uses} - needed
    return "".join(part.text for part in made if part.names & needed) + _END.format(operation=operation)


def _made(operation: str, rules: Rules) -> list[Part]:
    looks = "true" if operation in LOOKS else "false"
    named = f"local operations = {{}}\nlocal OPERATION = '{operation}'\nlocal LOOKS = {looks}\n"
    return _split(f"{named}local O = {_table(settings_of(rules))}\n")


def _tallies(rules: Rules) -> list[Part]:
    minute = {"fixed": "fixed(MinuteSpan)", "rolling": "rolling(MINUTE)", "bucket": "bucket()"}
    day = "rolling(DAY)" if rules.options.day_zone == "rolling" else "fixed(DaySpan)"
    return _split(f"local Minute = {minute[rules.options.minute_window]}\nlocal Day = {day}\n")


@functools.cache
def _parts() -> tuple[list[Part], list[Part]]:
    folder = resources.files(__package__) / "lua"
    before, after = (
        "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names) for names in FILES
    )
    return _split(before), _split(after)


def _split(text: str) -> list[Part]:
    plain = "\n".join(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--"))
    return [Part.of(part) for part in _HEADS.split(f"{plain}\n") if part.strip()]


def settings_of(rules: Rules) -> Mapping[str, str]:
    """Return what the script has to know, as expressions of Lua."""
    options = rules.options
    words = {
        "selection": options.selection,
        "tenure": options.tenure,
        "release": options.release,
        "counted_on": options.counted_on,
        "minute": options.minute_window,
    }
    quota = options.quota_recovery
    return {
        **{name: _word(word) for name, word in words.items()},
        "quota": _word(quota) if isinstance(quota, str) else _steps(quota),
        "strike": _steps(options.strike_recovery),
        "auth": _number(options.auth_recovery),
        "lease_ttl": _number(options.lease_ttl),
        "rolling_day": "true" if options.day_zone == "rolling" else "false",
        "max_failures": _number(rules.max_failures),
        "threshold": _number(rules.threshold),
    }


def _table(settings: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name} = {value}" for name, value in settings.items()) + "}"


def _word(word: str) -> str:
    return f"'{word}'"  # a literal of the options, without a quote in it


def _number(found: float | None) -> str:
    if found is None:
        return "false"
    return "math.huge" if math.isinf(found) else repr(found)


def _steps(recovery: Recovery) -> str:
    if recovery is None:
        return "{}"
    steps = recovery if isinstance(recovery, tuple) else (recovery,)
    return "{" + ", ".join(map(_number, steps)) + "}"
