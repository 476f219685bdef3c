"""The settings of a run: from flags, environment, `keyconform.toml`, `pyproject.toml`, ini keys, in this order."""

from __future__ import annotations

import contextlib
import difflib
import re
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, ValidationError, field_validator

from pytest_keyconform.errors import SettingError
from pytest_keyconform.spec import report_setting
from pytest_keyconform.spec.places import made, place_of
from pytest_keyconform.spec.report_setting import ReportSetting
from pytest_keyconform.spec.target_setting import Seconds, Strict, TargetSetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WAIVERS = "keyconform-waivers.toml"  # read by itself, beside pyproject.toml
Kind: TypeAlias = Literal["in-process", "shared-store", "service"]
NAMED = re.compile(r"([A-Za-z_][\w.-]*)=(.+)")

# As they are called in `[tool.keyconform]`; flags and variables are `--keyconform-NAME` and `KEYCONFORM_NAME`.
NAMES = (
    *("target", "only", "profile", "select", "level", "report", "seed", "replay", "timeout", "max_time"),
    *("waivers", "baseline", "require", "spec", "cov", "cov_fail_under", "scenarios", "save_failures", "isolate"),
)
PATHS = ("waivers", "baseline")

EXPECTED = {
    "only": "true or false",
    "isolate": "true or false",
    "profile": "smoke, ci or deep",
    "select": "ids or families such as ACQ,FMT01",
    "level": "must or should",
    "seed": "a whole number from 0 on, or random",
    "replay": "a token such as a violation shows it",
    "timeout": "a number of seconds above 0",
    "max_time": "a number of seconds above 0",
    "waivers": "the path of a file",
    "baseline": "the path of a JSON report",
    "require": "in-process, shared-store or service",
    "cov": "the dotted name of a package, such as app.keys",
    "cov_fail_under": "percent, from 0 to 100",
    "spec": "a version of the catalogue, such as 1.0",
    "save_failures": "a folder",
}


class Settings(Strict):
    """What was asked for; ``seed`` is drawn already where it was ``random``, ``search`` holds where modules are."""

    targets: tuple[TargetSetting, ...] = ()
    only: bool = False
    profile: Literal["smoke", "ci", "deep"] = "ci"
    select: tuple[str, ...] = ()
    level: Literal["must", "should"] = "must"
    reports: tuple[ReportSetting, ...] = ()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    replay: str | None = None
    timeout: Seconds = 60.0
    max_time: Seconds | None = None
    waivers: Path | None = None
    baseline: Path | None = None
    require: Kind | None = None
    spec: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")] | None = None
    cov: tuple[Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$")], ...] = ()
    cov_fail_under: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 70.0
    scenarios: tuple[str, ...] = ()
    save_failures: Path | None = None
    isolate: bool = False
    search: tuple[Path, ...] = ()

    @field_validator("seed", mode="before")
    @classmethod
    def _seed(cls, value: object) -> object:
        return secrets.randbelow(2**32) if value == "random" else value

    @field_validator("cov", mode="before")
    @classmethod
    def _cov(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("select", mode="before")
    @classmethod
    def _select(cls, value: object) -> object:
        parts = [value] if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
            return value
        return tuple(name.strip().upper() for part in parts for name in part.split(",") if name.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place settings come from: raw values, how a message calls them, and where relative paths begin."""

    values: Mapping[str, Any]
    naming: str
    folder: Path

    def called(self, name: str) -> str:
        """Say where a value was set: a flag, a variable, a key of a file."""
        if self.naming == "--keyconform" and name == "target":
            return self.naming
        text = self.naming.format(name=name, NAME=name.upper(), flag=name.replace("_", "-"))
        return text if "{" in self.naming else f"{text}-{name.replace('_', '-')}"


def read(sources: Iterable[Source], *, table: Mapping[str, Any], search: tuple[Path, ...]) -> Settings:
    """Merge the sources, the first one winning, into settings; raises `SettingError` for what cannot be used.

    ``table`` maps configured names to a target string, or to a table of ``target`` and ``policies``.
    """
    found: dict[str, tuple[Any, Source]] = {}
    for source in sources:
        for name, value in source.values.items():
            if value is not None and value not in ([], ""):
                found.setdefault(name, (value, source))
    values: dict[str, Any] = {name: value for name, (value, _) in found.items()}
    values["targets"] = _targets(_listed(values.pop("target", ())), table)
    values["reports"] = _reports(*found["report"]) if values.pop("report", None) else ()
    values |= _placed(found)
    values |= _places(found)
    try:
        settings = Settings(**values, search=search)
    except ValidationError as error:
        raise _refused(error, found) from None
    report_setting.check(settings.reports, [target.name for target in settings.targets])
    return settings


def _reports(asked: Any, source: Source) -> list[ReportSetting]:  # noqa: ANN401  # raw values are anything
    called = source.called("report")
    return [report_setting.read(text, called=called, folder=source.folder) for text in _listed(asked)]


def _placed(found: Mapping[str, tuple[Any, Source]]) -> dict[str, Path]:
    """Answer the paths, from the folders they begin in."""
    places = {name: found[name] for name in PATHS if name in found}
    return {name: source.folder / value for name, (value, source) in places.items() if isinstance(value, str)}


def _refused(error: ValidationError, found: Mapping[str, tuple[Any, Source]]) -> SettingError:
    """Say of the first error which setting it was, what was expected, and what was found."""
    name = str(error.errors()[0]["loc"][0])
    value, source = found[name]
    return SettingError(f"{source.called(name)}: expected {EXPECTED[name]}, found {value!r}")


def _listed(value: Any) -> list[str]:  # noqa: ANN401  # raw values are anything
    if isinstance(value, str):
        return [value]
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return list(value)
    raise SettingError(f"expected a string or a list of strings, found {value!r}")


def _targets(asked: list[str], table: Mapping[str, Any]) -> tuple[TargetSetting, ...]:
    """Look each name up in the configured targets; anything else is a target as it stands."""
    targets = tuple(_target(text, table) for text in asked)
    names = [target.name for target in targets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingError(f"--keyconform: two targets are called {twice!r}; name each one: --keyconform=NAME={twice}")
    return targets


def _target(text: str, table: Mapping[str, Any]) -> TargetSetting:
    match = NAMED.fullmatch(text)
    name, target = match.groups() if match else (text, text)
    entry = table.get(target, target)
    fields = entry if isinstance(entry, dict) else {"target": entry}
    try:
        # An id of an item is its file and its name: a name of ours must not look like two.
        return TargetSetting(**fields, name=re.sub(r"::+|[\[\]]", "-", name), asked=text)
    except (ValidationError, TypeError) as error:
        problem = error.errors()[0] if isinstance(error, ValidationError) else {"loc": ("name",), "msg": str(error)}
        where = ".".join(str(part) for part in problem["loc"])
        raise SettingError(
            f"[tool.keyconform.targets] {target}: {where}: {problem['msg']}; "
            "expected a target string such as 'package.module:factory', or a table of target and policies"
        ) from None


def _places(found: Mapping[str, tuple[Any, Source]]) -> dict[str, Any]:
    """Answer where scenarios are and where failures go, from where that was said."""
    places: dict[str, Any] = {}
    if "scenarios" in found:
        texts, source = found["scenarios"]
        places["scenarios"] = [place_of(text, source.folder) for text in _listed(texts)]
    if "save_failures" in found:
        text, source = found["save_failures"]
        places["save_failures"] = made(source.folder / str(text), said=source.called("save_failures"))
    return places


def files(root: Path) -> tuple[list[Source], dict[str, Any]]:
    """Read `keyconform.toml` and `[tool.keyconform]` of this folder: settings, and targets by name."""
    sources: list[Source] = []
    table: dict[str, Any] = {}
    for path in (root / "keyconform.toml", root / "pyproject.toml"):
        content = tables(path)
        if not content:
            continue
        targets = content.pop("targets", {})
        if not isinstance(targets, dict):
            raise SettingError(f"{path}: targets: expected a table of names and targets, found {targets!r}")
        table = {**targets, **table}
        unknown = next((name for name in content if name not in NAMES), None)
        if unknown is not None:
            raise SettingError(f"{path}: unknown key {unknown!r}{nearest(unknown, NAMES)}")
        sources.append(Source(values=content, naming=f"{path}: {{name}}", folder=root))
    if (root / WAIVERS).is_file():
        sources.append(Source(values={"waivers": WAIVERS}, naming=f"{root / WAIVERS}", folder=root))
    return sources, table


def tables(path: Path) -> dict[str, Any]:
    """Answer what a file says of keyconform; empty where there is no such file or it says nothing."""
    text = ""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        text = path.read_text(encoding="utf-8")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: expected TOML, but {error}") from None
    own = content if path.name == "keyconform.toml" else content.get("tool", {}).get("keyconform", {})
    if not isinstance(own, dict):
        raise SettingError(f"{path}: expected a table [tool.keyconform], found {own!r}")
    return dict(own)


def environment_source(environment: Mapping[str, str], folder: Path) -> Source:
    """Read the variables `KEYCONFORM_TARGET`, `KEYCONFORM_PROFILE`, ...; any other is left alone."""
    values: dict[str, Any] = {name: environment.get(f"KEYCONFORM_{name.upper()}") for name in NAMES}
    return Source(values=values, naming="KEYCONFORM_{NAME}", folder=folder)


def check_select(select: Iterable[str], ids: Iterable[str]) -> None:
    """Refuse a selection that names neither an invariant nor a family, with the nearest one that exists."""
    every = tuple(ids)
    known = {*every, *(family_of(one) for one in every)}
    for name in select:
        if name not in known:
            raise SettingError(
                f"--keyconform-select: expected ids or families of the catalogue, found {name!r}"
                f"{nearest(name, sorted(known))}; `keyconform list` shows them all"
            )


def versions(text: str) -> tuple[int, ...]:
    """Answer a version as numbers, which can be compared."""
    return tuple(int(part) for part in text.split("."))


def check_spec(spec: str, known: Iterable[str], *, called: str) -> None:
    """Refuse a version of the catalogue that there never was."""
    every = sorted({*known}, key=versions)
    if spec not in every:
        raise SettingError(f"{called}: expected a version of the catalogue ({', '.join(every)}), found {spec!r}")


def family_of(id: str) -> str:  # noqa: A002  # the word of the catalogue
    """Answer the family of an id: its letters."""
    return id.rstrip("0123456789")


def nearest(name: str, names: Iterable[str]) -> str:
    """Answer ``; did you mean ...?`` where a name is near enough, else nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
