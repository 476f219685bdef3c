"""Which name a call calls: the value stack of a code object, as far as straight lines of it tell."""

from __future__ import annotations

import dis
import sys
from typing import Final

CALLS: Final = frozenset({"CALL", "CALL_FUNCTION_EX", "CALL_KW"})
_LOADS: Final = frozenset({"LOAD_DEREF", "LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_GLOBAL", "LOAD_NAME"})
_NULL_LAST: Final = sys.version_info >= (3, 13)  # where the place of a missing ``self`` is


class Stack:
    """Follows instructions in their order. An item is the instruction that loaded a name, None for anything else."""

    def __init__(self) -> None:
        self._items: list[dis.Instruction | None] = []

    def step(self, one: dis.Instruction) -> dis.Instruction | None:
        """Follow one instruction; for a call answer what loaded the name that is called, None where that is open."""
        if one.is_jump_target:
            self._items.clear()
        if one.opname in CALLS:
            return self._call(one)
        if one.opname in _LOADS:
            self._load(one, paired=one.opname == "LOAD_GLOBAL" and bool((one.arg or 0) & 1))
        elif one.opname == "LOAD_METHOD" or (one.opname == "LOAD_ATTR" and one.argrepr.startswith("NULL|self")):
            self._pop(1)
            self._items += [one, None]
        elif one.opname == "LOAD_ATTR":
            self._pop(1)
            self._items.append(one)
        elif one.opname == "COPY":
            self._items.append(self._items[-one.arg] if one.arg and one.arg <= len(self._items) else None)
        else:
            self._other(one)
        return None

    def _load(self, one: dis.Instruction, *, paired: bool) -> None:
        pair = [one, None] if _NULL_LAST else [None, one]
        self._items += pair if paired else [one]

    def _pop(self, count: int) -> list[dis.Instruction | None]:
        taken = self._items[-count:] if count else []
        del self._items[len(self._items) - len(taken) :]
        return [None] * (count - len(taken)) + taken

    def _call(self, one: dis.Instruction) -> dis.Instruction | None:
        if one.opname == "CALL_FUNCTION_EX":
            taken = self._pop(3 + ((one.arg or 0) & 1))
            places = taken[:2]
        else:
            taken = self._pop((one.arg or 0) + 2 + (one.opname == "CALL_KW"))
            places = taken[:2]
        self._items.append(None)
        return next((item for item in places if item is not None), None)

    def _other(self, one: dis.Instruction) -> None:
        if one.opname == "PRECALL":  # `CALL` takes the arguments away
            return
        effect = dis.stack_effect(one.opcode, one.arg, jump=False)
        if effect < 0:
            self._pop(-effect)
        if effect <= 0 and self._items and one.opname not in _KEEPING:
            self._items[-1] = None
        self._items += [None] * max(0, effect)


_KEEPING: Final = frozenset({"CACHE", "KW_NAMES", "NOP", "POP_TOP", "RESUME", "STORE_FAST", "STORE_NAME"})
