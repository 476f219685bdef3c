"""The same under xdist: judged in workers, reported by the controller."""

import json

import pytest

pytest.importorskip("xdist")


def test_results_reach_the_controller(stub):
    """Workers judge, the controller sums up once and writes the report."""
    result = stub("--keyconform=breaks", "--keyconform-only", "-n", "2", "--keyconform-report=json:r.json", child=True)
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1
    assert result.stdout.str().count("breaks: VIOLATES (4 invariants") == 1
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    assert report["counts"]["violated"] == 1
    assert report["invariants"][3]["counterexample"]["replay"] == "QUO01:t1:r1-1"


def test_a_bad_target_is_said_once(stub):
    """A target that cannot be opened is one message and exit 4 before any worker starts."""
    result = stub("--keyconform=missing", "--keyconform-only", "-n", "2", child=True)
    assert result.ret == 4
    assert (result.outlines, result.stderr.str().count("expected an importable module")) == ([], 1)


def test_a_bad_token_is_said_once(stub):
    """A replay token that cannot be used is one message and exit 4, in a parallel run too."""
    result = stub("--keyconform=ok", "--keyconform-only", "-n", "2", "--keyconform-replay=QUO01", child=True)
    assert result.ret == 4
    assert result.stderr.str().strip() == "ERROR: 'QUO01' is no replay token"


def test_a_worker_that_died_has_judged_nothing(stub):
    """A backend that ends its process makes that one invariant inconclusive; the others are judged."""
    result = stub("--keyconform=dies", "--keyconform-only", "-n", "1", "--keyconform-report=json:r.json", child=True)
    assert result.ret == 1
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    statuses = {one["id"]: one["status"] for one in report["invariants"]}
    assert statuses.pop("ACQ02") == "inconclusive"
    assert set(statuses.values()) == {"conforms"}


def test_deselection_in_workers_is_partial(stub):
    """What workers deselect is absent, and the verdict partial."""
    result = stub("--keyconform=ok", "--keyconform-only", "-n", "2", "-k", "FMT", child=True)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["ok: PARTIAL (1 invariant, *"])


def test_a_random_seed_is_drawn_once(stub):
    """With a random seed every process has the one that the summary shows."""
    result = stub("--keyconform=seed", "--keyconform-only", "-n", "2", "--keyconform-seed=random", child=True)
    lines = result.outlines
    (verdict,) = (line for line in lines if line.startswith("seed: "))
    shown = verdict.partition("seed ")[2].partition(",")[0]
    assert sum(f"the seed is {shown}" in line for line in lines) >= 4


def test_nothing_applies_under_xdist(stub):
    """A parallel run that judged nothing exits 4 as well."""
    assert stub("--keyconform=empty", "--keyconform-only", "-n", "2", child=True).ret == 4


def test_a_worker_that_is_killed(stub):
    """A worker that is killed leaves its invariant inconclusive, which no waiver covers, and the report complete."""
    flags = ("-n", "2", "--keyconform-report=json:r.json", "--keyconform-report=junit:r.xml")
    result = stub("--keyconform=fells", "--keyconform-only", *flags, child=True)
    assert result.ret == 1
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    found = {one["id"]: (one["status"], one["cut_short"]) for one in report["invariants"]}
    assert found.pop("ACQ02") == ("inconclusive", True)
    assert found == dict.fromkeys(("ACQ01", "FMT05", "QUO01"), ("conforms", False))
    assert report["verdict"] == "inconclusive"
    assert (stub.path / "r.xml").is_file()
