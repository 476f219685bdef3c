"""What the harness says of open-keypool 0.3 is true: each counterexample is run again on the bare package."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

core = pytest.importorskip("open_keypool.core", reason="install the extra `real` to judge published managers")

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.spec.settings import Settings, TargetSetting
from pytest_keyconform.target_run import quiet

if TYPE_CHECKING:
    from pytest_keyconform.report import CounterexampleReport, InvariantReport

STATUSES = {"success": 200, "quota": 429, "auth": 401, "request": 400, "transient": 503}
CALL = re.compile(r"(\w+)\((.*)\)")
OPENED = re.compile(r"open\(regular=\[([^]]*)\]")
ANSWERED = {"FAIL05", "FAIL06", "FAIL09", "UNK10"}
VIOLATED = {*ANSWERED, "SEC02", "SEC03"}  # its mask shows six characters before it and four behind


def judged(name: str) -> dict[str, InvariantReport]:
    """Judge one of the adapters by the whole catalogue; answer the results by id."""
    target = TargetSetting(name=name, target=f"keypool_adapters:{name}", asked=name)
    conformance = Conformance(Settings(targets=(target,), search=(Path(__file__).parent,)), target)
    with quiet():
        conformance.start()
        return {kind.id: conformance.judge(kind.id) for kind in conformance.invariants()}


@pytest.fixture(scope="module", params=["AsyncPool", "SyncPool"])
def results(request: pytest.FixtureRequest) -> tuple[str, dict[str, InvariantReport]]:
    """The results of one of the two pools."""
    return request.param, judged(request.param)


async def rerun(pool: Any, found: CounterexampleReport, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Call what the counterexample called, at its times, on the bare pool; answer call, reported and real answer."""
    now = [1000.0]
    monkeypatch.setattr(core.time, "monotonic", lambda: now[0])
    compared = []
    for operation in found.operations:
        if operation.call.startswith("open("):
            continue
        name, told = CALL.fullmatch(operation.call).groups()
        arguments = dict(pair.split("=") for pair in told.split(", ") if pair)
        now[0] = 1000.0 + operation.at
        compared.append((operation.call, operation.answer, str(await called(pool, name, arguments))))
    return compared


async def called(pool: Any, name: str, arguments: dict[str, str]) -> object:
    """Call the bare pool as the adapter does, and answer the key or the name of the error."""
    try:
        match name:
            case "record":
                status = STATUSES[arguments.get("outcome", "success")]
                await settled(pool.handle_response(arguments["lease"], status))
                return None
            case "fail" if arguments.get("status", "None") == "None":
                await settled(pool.mark_rate_limited(arguments["lease"]))
            case "fail":
                await settled(pool.handle_response(arguments["lease"], int(arguments["status"])))
        return await settled(pool.get_key())
    except core.AllKeysExhaustedError as error:
        return f"raised {type(error).__name__}"


async def settled(answer: Any) -> object:
    """Await an answer, if it is to be awaited."""
    return await answer if inspect.isawaitable(answer) else answer


def test_what_is_violated_is_known(results: tuple[str, dict[str, InvariantReport]]) -> None:
    """Exactly these promises are broken, by the asynchronous pool and by the other."""
    _, found = results
    assert {id for id, result in found.items() if result.status == "violated"} == VIOLATED


@pytest.mark.parametrize("id", sorted(ANSWERED))
def test_each_counterexample_is_true_of_the_bare_package(
    id: str, results: tuple[str, dict[str, InvariantReport]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls of the counterexample, made without the harness, are answered as the report says."""
    name, found = results
    counterexample = found[id].counterexample
    assert counterexample is not None
    keys = OPENED.match(counterexample.operations[0].call)[1].split(", ")
    pool = (core.AsyncKeyPool if name == "AsyncPool" else core.KeyPool)(keys=keys, cooldown_seconds=60)
    for call, reported, real in asyncio.run(rerun(pool, counterexample, monkeypatch)):
        assert (reported or "").startswith(real), call


@pytest.mark.parametrize("name", ["AsyncKeyPool", "KeyPool"])
def test_a_record_of_the_bare_package_shows_its_key(name: str) -> None:
    """SEC02 is true of it: the repr of what it keeps of a key is the whole key."""
    pool = getattr(core, name)(keys=["a-key-of-some-length"], cooldown_seconds=60)
    kept = [value for value in vars(pool).values() if isinstance(value, list | tuple | dict)]
    assert "a-key-of-some-length" in repr(kept)
