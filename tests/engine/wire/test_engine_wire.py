"""Backends in another process, judged as a run does: sound ones conform, and what is wrong with others is found."""

from __future__ import annotations

import sys
import textwrap

import pytest

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.errors import TargetError
from pytest_keyconform.spec.settings import Settings, TargetSetting

# Two lists of keys, handed out in turn; what is planted stands where the names in capitals are.
BACKEND = """
    import json, sys, time

    HELLO = {"protocol": 1, "operations": ["acquire", "record", "usage"], "clock": CLOCK}
    HELLO["policies"] = {"day_zone": "UTC"}
    waiting, manager = [], {}

    def tell(seq, **answer):
        print(json.dumps({"seq": seq, **answer}), flush=True)

    def opened(asked):
        pool = asked["pool"]
        keys = {"regular": pool["api_keys"], "vertex": pool["vertex_api_keys"]}
        manager.update(keys=keys, limits=pool["limits"], counts={}, turn={}, now=asked["now"])

    def count(asked, key):
        minute = manager["now"][:16]
        return manager["counts"].setdefault((asked["pool"], asked["model"] or "m1", key, minute), [0])

    def acquired(asked):
        keys = manager["keys"][asked["pool"]]
        limit = (manager["limits"].get(asked["model"] or "m1") or {}).get("rpm")
        for _ in keys:
            turn = manager["turn"][asked["pool"]] = manager["turn"].get(asked["pool"], 0) + 1
            key = keys[turn % len(keys)]
            if limit is None or count(asked, key)[0] < limit:
                return key
        return ""

    def answer(asked):
        op, seq = asked["op"], asked["seq"]
        if not isinstance(asked.get("model") or "", str) or not isinstance(asked.get("key") or "", str):
            tell(seq, error={"type": "ValueError", "message": "no name", "typed": True})
        elif op == "hello":
            tell(seq, ok=HELLO)
        elif op == "acquire":
            ACQUIRE
        elif op == "record":
            count(asked, asked["lease"]["key"])[0] += 1
            tell(seq, ok=True)
        elif op == "usage":
            tell(seq, ok={"rpm": count(asked, asked["key"])[0]})
        else:
            if op == "open":
                opened(asked)
            if op == "clock":
                manager["now"] = asked["now"]
            tell(seq, ok=None)

    for line in sys.stdin:
        answer(json.loads(line))
"""
PLAIN = "tell(seq, ok=acquired(asked))"
# Two calls that come before the first is answered get the same key.
SAME = """
waiting.append(seq)
if len(waiting) == 2:
    key = acquired(asked)
    tell(waiting.pop(), ok=key)
    tell(waiting.pop(), ok=key)
elif True:
    import select
    if not select.select([sys.stdin], [], [], 0.2)[0]:
        tell(waiting.pop(), ok=acquired(asked))
"""


@pytest.fixture
def judge(tmp_path):
    """Judge such a backend by some ids."""

    def judged(*ids, acquire=PLAIN, clock=True, timeout=60.0):
        source = textwrap.dedent(BACKEND).replace("CLOCK", str(clock))
        source = source.replace("        ACQUIRE\n", textwrap.indent(textwrap.dedent(acquire).strip(), " " * 8) + "\n")
        (tmp_path / "backend.py").write_text(source, encoding="utf-8")
        setting = TargetSetting(name="theirs", target=f"stdio:{sys.executable} backend.py", asked="theirs")
        settings = Settings(targets=(setting,), search=(tmp_path,), select=ids, profile="smoke", timeout=timeout)
        conformance = Conformance(settings, setting)
        conformance.start()
        return {kind.id: conformance.judge(kind.id) for kind in conformance.invariants()}

    return judged


def told(results):
    return {
        id: (one.status, one.reason, one.counterexample and one.counterexample.observed) for id, one in results.items()
    }


def test_a_sound_backend_in_another_process_conforms(judge):
    """Sequential programs and calls that overlap are judged on the engine that is called wire."""
    results = judge("ACQ01", "ACQ03", "QUO01", "LIVE01", "SEC01")
    assert {one.status for one in results.values()} == {"conforms"}, told(results)
    assert {one.engines for one in results.values()} == {("wire",)}


def test_requests_that_overlap_are_judged_by_linearizability(judge):
    """A backend that serves two calls one key is found only by calls that are under way at once."""
    found = judge("ACQ01", acquire=SAME)["ACQ01"]
    assert found.status == "violated", found.reason
    assert found.counterexample.replay.startswith("ACQ01:w1:")


@pytest.mark.parametrize(
    "id, why",
    [
        ("SEC02", "the objects of another process"),
        ("LIVE07", "the tasks and threads of another process are not seen"),
        ("COST01", "the work and the memory of another process are not counted"),
        ("COST02", "the work and the memory of another process are not counted"),
        ("LIFE03", "the tasks, timers, threads and connections of another process are not counted"),
        ("LIFE04", "over a wire opening is how a manager is made"),
        ("LIFE16", "over a wire opening is how a manager is made"),
        ("LIVE03", "a request that was sent cannot be cancelled at an await of another process"),
    ],
)
def test_what_cannot_be_seen_from_outside_is_not_applicable(judge, id, why):
    """The report says why."""
    result = judge(id)[id]
    assert result.status == "not-applicable"
    assert why in (result.reason or "")


def test_without_a_clock_that_can_be_told_time_is_inconclusive(judge):
    """What is about time says why it was not judged; other promises are judged by what lets no time pass."""
    results = judge("TIME01", "ACQ11", clock=False)
    assert results["TIME01"].status == "inconclusive"
    assert "its clock cannot be moved" in (results["TIME01"].reason or "")
    assert results["ACQ11"].status == "conforms", told(results)


@pytest.mark.parametrize(
    "acquire, why",
    [
        ("sys.exit(3)", r"acquire: the process ended (exit status 3)"),
        ("print('hm', flush=True)", "expected a line of JSON, found 'hm'"),
        ("tell(seq + 1, ok='')", "expected an answer with the seq of a request"),
    ],
)
def test_what_is_no_answer_is_inconclusive(judge, acquire, why):
    """The examiner neither passes nor fails a backend that it cannot understand, and goes on with the next rule."""
    results = judge("ACQ01", "QUO05", acquire=acquire)
    assert results["ACQ01"].status == "inconclusive"
    assert why in (results["ACQ01"].reason or "")
    assert results["QUO05"].reason != "", told(results)


def test_a_key_on_standard_error_is_found(judge):
    """Standard error is a log like any other."""
    acquire = "key = acquired(asked); print('serving', key, file=sys.stderr, flush=True); tell(seq, ok=key)"
    found = judge("SEC01", acquire=acquire)["SEC01"]
    assert found.status == "violated", found.reason
    assert "standard error: serving key-" in found.counterexample.observed


def test_an_acquire_that_never_answers_is_inconclusive(judge, monkeypatch):
    """Nobody can tell a slow backend from one that hangs: it is given up, and not accused."""
    monkeypatch.setattr("pytest_keyconform.engine.delayed.loop.STALLED", 0.2)
    monkeypatch.setattr("pytest_keyconform.engine.survey.PROBE", 0.5)
    result = judge("ACQ01", acquire="time.sleep(60)", timeout=20.0)["ACQ01"]
    assert result.status == "inconclusive"
    assert "acquire never answered" in (result.reason or ""), result.reason


def test_a_backend_that_cannot_be_opened_is_no_target(tmp_path):
    """The refusal comes before anything is judged, and says what was raised over there."""
    source = textwrap.dedent(BACKEND).replace("CLOCK", "True").replace("ACQUIRE", "pass")
    source = source.replace(
        "    opened(asked)\n", '    tell(seq, error={"type": "Full", "message": "no room"}); return\n'
    )
    (tmp_path / "backend.py").write_text(source, encoding="utf-8")
    setting = TargetSetting(name="theirs", target=f"stdio:{sys.executable} backend.py", asked="theirs")
    conformance = Conformance(Settings(targets=(setting,), search=(tmp_path,)), setting)
    with pytest.raises(TargetError, match=r"the factory raised Full: no room"):
        conformance.start()
