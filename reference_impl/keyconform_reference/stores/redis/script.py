"""The text of the script: the options as a table of Lua, and the files of ``lua`` after it."""

from __future__ import annotations

import functools
import math
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyconform_reference.options import Recovery
    from keyconform_reference.stores.protocol import Rules

FILES = ("clock", "tallies", "states", "lanes", "serving", "operations", "views")


def script_of(rules: Rules) -> str:
    """Return the script for these rules: options are part of it, so that no call has to carry them."""
    return f"local O = {_table(settings_of(rules))}\n{_text()}"


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


@functools.cache
def _text() -> str:
    folder = resources.files(__package__) / "lua"
    return "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in FILES)


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
