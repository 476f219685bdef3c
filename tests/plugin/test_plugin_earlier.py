"""Counterexamples of earlier runs are tried first, and long runs tell how far they are."""

import json

CACHE = ".pytest_cache/v/keyconform/counterexamples"


def executions(stub, id_):
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    return next(one["executions"] for one in report["invariants"] if one["id"] == id_)


def test_what_was_found_is_tried_first(stub):
    """The second run finds at once what the first one searched for."""
    flags = ("--keyconform=breaks", "--keyconform-only", "--keyconform-report=json:r.json")
    assert stub(*flags, child=True).ret == 1
    assert executions(stub, "QUO01") == 5
    assert json.loads((stub.path / CACHE).read_text(encoding="utf-8")) == {"breaks": {"QUO01": "QUO01:t1:r1-1"}}
    assert stub(*flags, "-n", "1", child=True).ret == 1
    assert executions(stub, "QUO01") == 1


def test_what_is_mended_is_forgotten(stub):
    """A counterexample that is none any more is followed by the search, and dropped once the invariant holds."""
    (stub.path / CACHE).parent.mkdir(parents=True)
    kept = {"ok": {"ACQ01": "no token", "QUO01": "QUO01:t1:r1-1"}, "other": {"ACQ01": "ACQ01:t1:r"}}
    (stub.path / CACHE).write_text(json.dumps(kept), encoding="utf-8")
    flags = ("--keyconform=ok", "--keyconform-only", "--keyconform-report=json:r.json", "--keyconform-select=QUO")
    assert stub(*flags, child=True).ret == 0
    assert executions(stub, "QUO01") == 5
    left = json.loads((stub.path / CACHE).read_text(encoding="utf-8"))
    assert left == {"ok": {"ACQ01": "no token"}, "other": {"ACQ01": "ACQ01:t1:r"}}


def test_nothing_is_kept_without_a_cache(stub):
    """With -p no:cacheprovider nothing is written down."""
    stub("--keyconform=breaks", "--keyconform-only", "-p", "no:cacheprovider", child=True)
    assert not (stub.path / ".pytest_cache").exists()


def test_a_long_run_tells_how_far_it_is(stub, monkeypatch):
    """Also a quiet run without a terminal tells what was judged, and what is judged now."""
    (stub.path / "hurry.py").write_text("import pytest_keyconform.progress as p\np.EVERY = 0.0\n", encoding="utf-8")
    result = stub("-p", "hurry", "--keyconform=ok", "--keyconform-only", "-q", child=True)
    result.stdout.fnmatch_lines(["keyconform ok: 1 of 4 invariants judged in * left; now ACQ02, 0 executions so far"])


def test_workers_tell_how_far_they_are(stub):
    """A worker's lines come out beside the controller's."""
    (stub.path / "hurry.py").write_text("import pytest_keyconform.progress as p\np.EVERY = 0.0\n", encoding="utf-8")
    result = stub("-p", "hurry", "--keyconform=ok", "--keyconform-only", "-q", "-n", "1", child=True)
    result.stderr.fnmatch_lines(["keyconform ok: 1 of 4 invariants judged in * left; now ACQ02, 0 executions so far"])
