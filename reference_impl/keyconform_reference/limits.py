"""Limits of a model, and how a model's name finds them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal, Protocol

from .errors import ConfigurationError, InvalidInputError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .options import Options

_REMEMBERED_NAMES = 1024
_BOUNDARIES = "-@:"


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much one key may be used for one model.

    ``rpm`` requests a minute, ``tpm`` tokens a minute, ``rpd`` requests a day; None: unlimited, 0: closed.
    A key is usable while it is *below* each (003-B2b).
    """

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "rpd"):
            found = getattr(self, name)
            if not _is_limit(found):
                message = f"{name} must be a whole number from 0, or None for unlimited, not {found!r}"
                raise ConfigurationError(message)

    @property
    def counts_requests(self) -> bool:
        """True where requests are limited at all."""
        return self.rpm is not None or self.rpd is not None


class LimitsLike(Protocol):
    """Anything with the three numbers."""

    @property
    def rpm(self) -> int | None:
        """Requests a minute."""

    @property
    def tpm(self) -> int | None:
        """Tokens a minute."""

    @property
    def rpd(self) -> int | None:
        """Requests a day."""


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """A model as the manager counts it: ``name`` is shown, ``identity`` is what usage is kept under."""

    name: str
    identity: str
    limits: Limits
    configured: bool


def canonical(name: str) -> str:
    """Return what names of one model have in common: no blanks around, no ``models/``, one case (001-1)."""
    return name.strip().casefold().removeprefix("models/").strip()


class ModelTable:
    """The configured models and the one rule by which a name finds its model (000-10, 000-11, 000-31).

    The exact name comes first, then (``model_match="prefix"``) the longest configured name that the asked one
    continues with ``-``, ``@`` or ``:``; so the order of the table never matters.
    """

    def __init__(self, limits: Mapping[str, LimitsLike], default_model: str, options: Options) -> None:
        self._match: Literal["prefix", "exact"] = options.model_match
        self._unknown = options.unknown_model
        self._exact: dict[str, Model] = {}
        self._canonical: dict[str, Model] = {}
        self._resolved: dict[str, Model] = {}
        for name in sorted(limits):
            self._configure(name, limits[name])
        if not _is_name(default_model):
            message = f"default_model must be the name of a model, not {default_model!r}"
            raise ConfigurationError(message)
        self.default = self._configured(default_model) or self._unlimited(default_model, configured=True)

    @property
    def configured(self) -> tuple[Model, ...]:
        """Every configured model, the default one included, by name."""
        models = {model.identity: model for model in (*self._exact.values(), self.default)}
        return tuple(sorted(models.values(), key=lambda model: model.name))

    def resolve(self, name: str | None) -> Model:
        """Return the model that ``name`` means; None and blanks mean the default model.

        Raises ``InvalidInputError`` for what is no name and, under ``reject``, ``UnknownModelError``.
        """
        if name is None:
            return self.default
        _check_name(name)
        found = self._resolved.get(name)
        if found is None:
            found = self._find(name)
            # Bounded: callers may send ever new names, and each one may be long.
            if len(self._resolved) >= _REMEMBERED_NAMES:
                self._resolved.clear()
            self._resolved[name] = found
        return found

    def _find(self, name: str) -> Model:
        if not canonical(name):
            return self.default
        found = self._configured(name)
        if found is not None:
            return found
        if canonical(name) == self.default.identity or self._unknown == "fallback-model":
            return self.default
        if self._unknown == "reject":
            raise UnknownModelError(name)
        return self._unlimited(name, configured=False)

    def _configured(self, name: str) -> Model | None:
        short = canonical(name)
        found = self._exact.get(name) or self._canonical.get(short)
        if found is not None or self._match == "exact":
            return found
        for end in range(len(short) - 1, 0, -1):
            if short[end] in _BOUNDARIES and short[:end] in self._canonical:
                return self._canonical[short[:end]]
        return None

    def _configure(self, name: str, numbers: LimitsLike) -> None:
        if not _is_name(name):
            message = f"limits are given for {name!r}, which is no name of a model"
            raise ConfigurationError(message)
        short = canonical(name)
        # Two configured spellings of one name stay two models, each found by its exact spelling; no canonical
        # name begins with a blank.
        identity = f" {name}" if short in self._canonical else short
        model = Model(name, identity, Limits(numbers.rpm, numbers.tpm, numbers.rpd), configured=True)
        self._exact[name] = model
        self._canonical.setdefault(short, model)

    @staticmethod
    def _unlimited(name: str, *, configured: bool) -> Model:
        return Model(name, canonical(name), Limits(), configured)


def _is_limit(found: object) -> bool:
    return found is None or (isinstance(found, int) and not isinstance(found, bool) and found >= 0)


def _is_name(found: object) -> bool:
    return isinstance(found, str) and bool(canonical(found))


def _check_name(found: object) -> None:
    if not isinstance(found, str):
        message = f"a model name must be a str, not {type(found).__name__}"
        raise InvalidInputError(message)
