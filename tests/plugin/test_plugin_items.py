"""The items that a target adds to a session, and what comes of them; judged by a stand-in with known answers."""

import json


def test_an_item_for_each_invariant(stub):
    """A target adds one item for each invariant, in the order of the catalogue."""
    result = stub("--keyconform=ok", "--co", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["keyconform::ACQ01", "keyconform::ACQ02", "keyconform::FMT05", "keyconform::QUO01"])


def test_beside_the_users_own_tests(stub, pytester):
    """The items come after the user's own tests, which run as ever."""
    pytester.makepyfile(test_own="def test_one(): pass\n")
    result = stub("--keyconform=ok", "--co", "-q")
    result.stdout.fnmatch_lines(["test_own.py::test_one", "keyconform::ACQ01"])
    stub("--keyconform=ok").assert_outcomes(passed=5)


def test_only_needs_no_test_file(stub):
    """With --keyconform-only an empty folder is enough, and the run is green."""
    result = stub("--keyconform=ok", "--keyconform-only")
    result.assert_outcomes(passed=4)
    assert result.ret == 0


def test_only_imports_no_test_file(stub, pytester):
    """With --keyconform-only the user's tests are not even imported."""
    pytester.makepyfile(test_own="raise RuntimeError('imported')\n")
    stub("--keyconform=ok", "--keyconform-only").assert_outcomes(passed=4)


def test_several_targets_are_told_apart(stub):
    """With several targets the ids carry the target's name."""
    result = stub("--keyconform=ok", "--keyconform=mine=breaks", "--co", "-q")
    result.stdout.fnmatch_lines(["keyconform[[]ok]::ACQ01", "keyconform[[]mine]::QUO01"])


def test_a_violated_must_fails_with_our_page(stub):
    """A violated MUST fails, and what is shown is the counterexample and no traceback."""
    result = stub("--keyconform=breaks", "--keyconform-only")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "QUO01 violated: n records add n requests",
            "  2 operations, 1 switch, found in 5 executions on tasks (3 ms)",
            "  replay: pytest --keyconform=breaks --keyconform-replay=QUO01:t1:r1-1",
            "FAILED keyconform::QUO01 - *QUO01 violated: n records add n requests",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*session.py*")


def test_an_inconclusive_must_fails(stub):
    """An inconclusive MUST fails and says why."""
    result = stub("--keyconform=unsure", "--keyconform-only")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["ACQ02 inconclusive: keys come in turn", "  no thread ever offered a choice point"])


def test_a_fault_of_the_judge_is_inconclusive(stub):
    """An exception of the harness neither passes nor fails: inconclusive, in one line with its place."""
    result = stub("--keyconform=bug", "--keyconform-only")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*the harness itself failed: ValueError at *stub_judge.py:*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_violated_should_is_advisory(stub):
    """A violated SHOULD is expected to fail, and the run passes."""
    result = stub("--keyconform=advises", "--keyconform-only", "-rx")
    result.assert_outcomes(passed=3, xfailed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["advisory: FMT05 violated: counts are numbers", "XFAIL keyconform::FMT05 - advisory: *"]
    )


def test_the_level_makes_a_should_gate(stub):
    """With --keyconform-level=should a violated SHOULD fails."""
    result = stub("--keyconform=advises", "--keyconform-only", "--keyconform-level=should")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1


def test_what_does_not_apply_is_skipped(stub):
    """An invariant that does not apply is skipped, with what is lacking."""
    result = stub("--keyconform=part", "--keyconform-only", "-rs")
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED [[]1] keyconform: lacks usage"])


def test_a_run_that_judged_nothing_exits_4(stub):
    """Where nothing applies nothing is known: exit 4, with what is lacking."""
    result = stub("--keyconform=empty", "--keyconform-only")
    result.assert_outcomes(skipped=4)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["ERROR: empty: none of the 4 invariants could be judged: it lacks usage. *"])


def test_what_a_backend_prints_stays_out(stub):
    """What a backend prints while it is judged does not reach the output."""
    result = stub("--keyconform=prints", "--keyconform-only", "-s")
    result.assert_outcomes(passed=4)
    result.stdout.no_fnmatch_line("*NOISE*")


def test_selection_by_keyword_and_marker(stub, pytester):
    """The items are selected by family with -k and by their marker with -m; the verdict is then partial."""
    pytester.makepyfile(test_own="def test_one(): pass\n")
    result = stub("--keyconform=ok", "-k", "acq")
    result.assert_outcomes(passed=2, deselected=3)
    result.stdout.fnmatch_lines(["ok: PARTIAL (2 invariants, *"])
    stub("--keyconform=ok", "-m", "keyconform").assert_outcomes(passed=4, deselected=1)
    stub("--keyconform=ok", "-m", "not keyconform").assert_outcomes(passed=1, deselected=4)


def test_select_takes_ids_and_families(stub):
    """--keyconform-select judges part of the catalogue, and the verdict says so."""
    result = stub("--keyconform=ok", "--keyconform-only", "--keyconform-select=acq,QUO01", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["keyconform::QUO01 PASSED*", "ok: PARTIAL (3 invariants, *"])


def test_stopping_at_the_first_failure(stub):
    """-x stops at the first failing invariant; those that did not run are absent and the verdict stands."""
    result = stub("--keyconform=unsure", "--keyconform-only", "-x", "--keyconform-report=json:r.json")
    result.assert_outcomes(passed=1, failed=1)
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    assert [one["id"] for one in report["invariants"]] == ["ACQ01", "ACQ02"]
    assert report["verdict"] == "inconclusive"


def test_last_failed(stub):
    """--lf runs the failed invariants alone."""
    stub("--keyconform=breaks", "--keyconform-only")
    result = stub("--keyconform=breaks", "--keyconform-only", "--lf")
    result.assert_outcomes(failed=1)


def test_a_replay_runs_alone_and_shows_the_page(stub):
    """--keyconform-replay runs that one item and shows its page."""
    result = stub("--keyconform=breaks", "--keyconform-only", "--keyconform-replay=QUO01:t1:r1-1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  observed: *", "replay QUO01:t1:r1-1: QUO01 violated"])


def test_an_advisory_replay_shows_the_page(stub):
    """A counterexample of a SHOULD that is run again is shown as well."""
    result = stub("--keyconform=advises", "--keyconform-only", "--keyconform-replay=FMT05:t1:r")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  observed: *"])


def test_a_conforming_replay_says_so(stub):
    """A counterexample that no longer shows is reported as such."""
    result = stub("--keyconform=ok", "--keyconform-only", "--keyconform-replay=QUO01:t1:r1-1")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["replay QUO01:t1:r1-1: QUO01 conforms, the counterexample no longer shows", "ok: PARTIAL *"]
    )


def test_the_summary_is_there_when_quiet(stub):
    """The table and the verdict are printed with -q too."""
    result = stub("--keyconform=breaks", "--keyconform-only", "-q")
    result.stdout.fnmatch_lines(
        [
            "family  conforms  violated  inconclusive  not applicable",
            "total          3         1             0               0",
            "policies: tenure=lease",
            "breaks: VIOLATES (4 invariants, 20 executions, profile ci, seed 0, spec 1.0, * s)",
        ]
    )


def test_more_invariants_by_hook(stub, pytester):
    """A conftest file adds invariants through the hook; they are judged last."""
    pytester.makeconftest(
        """
        def pytest_keyconform_invariants():
            import stub_judge
            return [stub_judge.invariant("OWN01", "must", "our own promise")]
        """
    )
    result = stub("--keyconform=ok", "--keyconform-only", "-v")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["keyconform::OWN01 PASSED*", "ok: CONFORMS (5 invariants, *"])


def test_a_run_out_of_time_begins_no_more(stub):
    """Once --keyconform-max-time is over, what is left is inconclusive."""
    result = stub("--keyconform=ok", "--keyconform-only", "--keyconform-max-time=0.000001")
    result.assert_outcomes(failed=3, xfailed=1)
    result.stdout.fnmatch_lines(["  not judged: the whole run may take 1e-06 s"])


def test_an_interrupt_leaves_a_report(stub):
    """After Ctrl-C the report holds what was judged, and is partial."""
    result = stub("--keyconform=interrupts", "--keyconform-only", "--keyconform-report=json:r.json", child=True)
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["ERROR: interrupted: interrupts: 3 of 4 invariants were not judged: ACQ02, FMT05, QUO01"]
    )
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    assert ([one["id"] for one in report["invariants"]], report["verdict"]) == (["ACQ01"], "partial")
