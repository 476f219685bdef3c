"""Canary keys: made for the labels of a workload, and turned back into labels in what a backend answers."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import string
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_keyconform.operation import Opaque
from pytest_keyconform.spec.pool import Limits, Pool

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_keyconform.workload import Given

_LABEL: Final = re.compile(r"(?:key|vertex|stranger|new|paid)-\d+(?:~\d+)?(?::\w+)?")
_MASK: Final = re.compile(r"[*#•·]+|\.{2,}|…+|[xX]{3,}|[-_]{3,}")  # what stands for characters that are left out
_PREFIX: Final = "kc-"
_LENGTH: Final = 36
_ALPHABET: Final = string.ascii_letters + string.digits
_ANY: Final = re.compile(rf"{_PREFIX}[A-Za-z0-9]{{{_LENGTH}}}", re.IGNORECASE)
_DEPTH: Final = 40
_SHOWABLE: Final = 8  # characters of a key that may be shown, where they are a third of it at most


@functools.cache
def canary(label: str) -> str:
    """Answer the canary key of a label: 39 characters, safe in a header, the same in every run.

    A label with a colon, ``key-1:b``, stands for the key of ``key-1`` with ``:b`` behind it; ``key-1~12`` for one of
    12 characters.
    """
    base, colon, more = label.partition(":")
    base, _, length = base.partition("~")
    digest = hashlib.sha512(f"keyconform:{base}".encode()).digest()
    whole = _PREFIX + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:_LENGTH])
    return whole[: int(length or len(whole))] + colon + more


class WeighedKey(str):
    """A key that tells how often any of its kind was compared or hashed: what C code does with it shows in no line.

    ``looks`` is that number, over all of them; whoever measures takes the difference.
    """

    __slots__ = ()
    looks: ClassVar[int] = 0

    def __eq__(self, other: object) -> bool:
        WeighedKey.looks += 1
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        WeighedKey.looks += 1
        return str.__ne__(self, other)

    def __lt__(self, other: str) -> bool:
        WeighedKey.looks += 1
        return str.__lt__(self, other)

    def __gt__(self, other: str) -> bool:
        WeighedKey.looks += 1
        return str.__gt__(self, other)

    def __hash__(self) -> int:
        WeighedKey.looks += 1
        return str.__hash__(self)


class Keyring:
    """The canary keys of one execution. Labels go in, canaries reach the backend, labels come out.

    A label is a key's name in a workload: one that a `Given` lists, or one such as ``key-1``, ``vertex-1``,
    ``stranger-1``, ``new-1``. ``_labels`` has the label of each canary made so far, ``_canaries`` the
    reverse; ``_search`` finds canaries in text, and is None after a change until it is needed.
    """

    def __init__(self, *, weighed: bool = False) -> None:
        self._weighed = weighed
        self._labels: dict[str, str] = {}
        self._canaries: dict[str, str] = {}
        self._search: re.Pattern[str] | None = None
        self._foreign = False  # whether any key is no canary

    @classmethod
    def of(cls, pool: Pool) -> Keyring:
        """Answer a ring that knows the keys of a pool by their numbers, to redact what is said about them."""
        ring = cls()
        ring._foreign = True
        for name, keys in (("key", pool.api_keys), ("vertex", pool.vertex_api_keys)):
            for number, key in enumerate(dict.fromkeys(keys), start=1):
                ring._labels.setdefault(key, f"{name}-{number}")
        if pool.paid_key:
            ring._labels.setdefault(pool.paid_key, "paid-1")
        return ring

    def pool_of(self, given: Given, *, storage: Path | None = None, limits_source: str | None = None) -> Pool:
        """Answer the pool that a factory is given for a workload."""
        lists = {"api_keys": given.regular, "vertex_api_keys": given.vertex}
        keys = {name: tuple(self._key(label) for label in labels) for name, labels in lists.items()}
        pool = Pool(
            api_keys=keys["api_keys"],
            vertex_api_keys=keys["vertex_api_keys"],
            limits={model: Limits(rpm=row.rpm, tpm=row.tpm, rpd=row.rpd) for model, row in given.limits},
            default_model=given.default_model,
            max_failures=given.max_failures,
            max_retries=given.max_retries,
            paid_key=self._key(given.paid_key),
            storage=storage,
            limits_source=limits_source,
        )
        return pool.model_copy(update=keys) if self._weighed else pool  # pydantic makes plain strings of them

    def reveal(self, value: object) -> object:
        """Answer a fresh value to hand to the backend: labels become canaries, tuples become lists."""
        match value:
            case str():
                known = value in self._canaries or _LABEL.fullmatch(value) is not None
                return self._key(value) if known else value
            case tuple() | list():
                return [self.reveal(item) for item in value]
            case dict():
                return {self.reveal(name): self.reveal(item) for name, item in value.items()}
            case _:
                return value

    def conceal(self, value: object, *, key: bool = False) -> object:
        """Answer the plain value of what a backend answered: canaries become labels, lists become tuples.

        What is not plain becomes `Opaque`; a coroutine is closed. With ``key`` the value is expected to be a
        key: a string that is none of ours is then cut after four characters.
        """
        if isinstance(value, str):
            text = str.__str__(value)
            if key and f"{value}" != text:  # a header would not get the key
                return Opaque(type(value).__name__)
            return self._conceal_text(text, key=key)
        return self._conceal(value, _DEPTH)

    def redact(self, text: str) -> str:
        """Answer the text with a label wherever a canary stood, in any casing."""
        if not self._foreign and _PREFIX not in text.casefold():
            return text  # most texts; looking for each of many keys takes long
        search = self._search  # another thread may set it back to None
        if search is None:
            search = self._search = _searching(self._labels)
        return search.sub(self._label_of_match, text)

    def found_in(self, text: str) -> str | None:
        """Answer the label of the first key that a text holds; None where it holds none."""
        if self.redact(text) == text or self._search is None:
            return None
        found = self._search.search(text)
        return None if found is None else self._label_of_match(found)

    def exposed(self, text: str) -> str:
        """Tell what a text shows of the keys: ``whole``, ``part`` of one (more than may be shown), or nothing."""
        if self.redact(text) != text:
            return "whole"
        for key in self._labels:
            most = min(_SHOWABLE, len(key) // 3)
            run = any(key[start : start + most + 1] in text for start in range(len(key) - most))
            if run or _beside_masks(key, text) > most:
                return "part"
        return ""

    def _label_of_match(self, match: re.Match[str]) -> str:
        found = match.group()
        folded = {key.casefold(): label for key, label in self._labels.items()}
        return self._labels.get(found) or folded[found.casefold()]

    def _key(self, label: str) -> str:
        if not label:
            return label
        if label not in self._canaries:
            self._canaries[label] = WeighedKey(canary(label)) if self._weighed else canary(label)
            self._labels[canary(label)] = label
            self._search = None
        return self._canaries[label]

    def _conceal_text(self, text: str, *, key: bool = False) -> str:
        label = self._labels.get(text)
        if label is not None:
            return label
        plain = self.redact(text)
        return f"{text[: min(4, len(text) // 3)]}…" if key and text and plain == text else plain

    def _conceal(self, value: object, depth: int) -> object:
        if depth == 0:
            return Opaque(type(value).__name__, "nested too deep")
        # Copied whole before it is walked: a backend on another thread may be changing what it answered.
        if isinstance(value, dict):
            pairs = list(value.items())
            return {self._conceal(name, depth - 1): self._conceal(item, depth - 1) for name, item in pairs}
        if isinstance(value, list | tuple):
            return tuple(self._conceal(item, depth - 1) for item in list(value))
        return self._conceal_text(str.__str__(value)) if isinstance(value, str) else _plain(value)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    if inspect.iscoroutine(value):
        value.close()
    return Opaque(type(value).__name__)


def _beside_masks(key: str, text: str) -> int:
    """Answer how many characters of a key a text shows before and behind what masks the others."""
    shown = 0
    for mask in _MASK.finditer(text):
        before = next((n for n in range(len(key), 1, -1) if text.endswith(key[:n], 0, mask.start())), 0)
        behind = next((n for n in range(len(key), 1, -1) if text.startswith(key[-n:], mask.end())), 0)
        shown = max(shown, before + behind)
    return shown


def _searching(keys: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(filter(None, keys), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)


def without_canaries(text: str) -> str:
    """Answer a text without any canary key, whatever ring made it."""
    return _ANY.sub("<key>", text)
