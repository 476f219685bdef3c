"""What holds a session back beyond its results: waivers, an earlier report, what a backend must have."""

import datetime as dt
import json

WAIVERS = """\
version = 1
[[waiver]]
id = "{id}"
reason = "the new pool comes soon"
owner = "team-keys"
added = {added}
expires = {expires}
"""


def waived(stub, id_="QUO01", *, name="keyconform-waivers.toml", added=-30, expires=60, more=""):
    """Write a file of waivers in the folder of the session."""
    today = dt.datetime.now().astimezone().date()
    days = {"added": today + dt.timedelta(days=added), "expires": today + dt.timedelta(days=expires)}
    (stub.path / name).write_text(WAIVERS.format(id=id_, **days) + more, encoding="utf-8")


def reported(stub, id_="QUO01"):
    """Answer the report that was written, and what it says of an invariant."""
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    return report, next(one for one in report["invariants"] if one["id"] == id_)


def test_a_waived_violation_is_expected(stub):
    """keyconform-waivers.toml is read by itself: what it waives is xfailed, and the run passes."""
    waived(stub)
    result = stub("--keyconform=breaks", "--keyconform-only", "-rx", "--keyconform-report=json:r.json")
    result.assert_outcomes(passed=3, xfailed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "waived: QUO01: the new pool comes soon (team-keys, expires *)",
            "breaks: CONFORMS (4 invariants, *",
            "XFAIL keyconform::QUO01 - waived: the new pool comes soon*",
        ]
    )
    report, one = reported(stub)
    assert (report["verdict"], report["counts"]["waived"], one["status"]) == ("conforms", 1, "waived")
    assert one["waiver"].startswith("the new pool comes soon")
    assert one["counterexample"]["replay"] == "QUO01:t1:r1-1"


def test_waived_in_a_worker(stub):
    """Under xdist it is the same."""
    waived(stub)
    result = stub("--keyconform=breaks", "--keyconform-only", "-n", "2", child=True)
    result.assert_outcomes(passed=3, xfailed=1)
    assert result.ret == 0


def test_a_stale_waiver_fails_the_run(stub):
    """A waiver of what conforms fails the run, and the summary says which and where."""
    waived(stub, "ACQ01", name="mine.toml")
    result = stub("--keyconform=ok", "--keyconform-only", "--keyconform-waivers=mine.toml")
    result.assert_outcomes(passed=4)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["ERROR: *mine.toml:2: the waiver of ACQ01 is stale: ACQ01 conforms; remove it"])


def test_an_expired_waiver_fails_the_run(stub):
    """An expired waiver fails the run; one that ends soon is a warning."""
    waived(stub, expires=-1)
    result = stub("--keyconform=breaks", "--keyconform-only")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["ERROR: *keyconform-waivers.toml:2: the waiver of QUO01 expired on *"])
    waived(stub, expires=9)
    result = stub("--keyconform=breaks", "--keyconform-only")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["WARNING: *: the waiver of QUO01 expires in 9 days *"])


def test_a_time_out_is_not_waived(stub):
    """A crash of the process is judged as ever, waiver or not."""
    waived(stub, "ACQ02")
    result = stub("--keyconform=dies", "--keyconform-only")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1


def test_a_replay_is_not_waived(stub):
    """A counterexample that is run again shows its page, although it is waived."""
    waived(stub)
    result = stub("--keyconform=breaks", "--keyconform-only", "--keyconform-replay=QUO01:t1:r1-1")
    result.assert_outcomes(failed=1)


def test_a_bad_waiver_exits_4(stub):
    """A waiver that cannot stand is one message with its line and exit 4, before anything is judged."""
    waived(stub, "QUO1")
    result = stub("--keyconform=ok", "--keyconform-only", child=True)
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: *keyconform-waivers.toml:3: id: expected *found 'QUO1'; did you mean 'QUO01'?*"]
    )


def baseline(stub, target, name="before.json"):
    """Write a report of an earlier run."""
    stub(f"--keyconform={target}", "--keyconform-only", f"--keyconform-report=json:{name}")


def test_a_known_violation_is_expected(stub):
    """A violation that the baseline has too is xfailed as known, and the run passes."""
    baseline(stub, "breaks")
    flags = ("--keyconform-baseline=before.json", "--keyconform-report=json:r.json", "-rx")
    result = stub("--keyconform=breaks", "--keyconform-only", *flags)
    result.assert_outcomes(passed=3, xfailed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["known: QUO01 violated: n records add n requests", "breaks: CONFORMS *", "XFAIL keyconform::QUO01 - known: *"]
    )
    report, one = reported(stub)
    assert (report["counts"]["violated"], one["status"], one["known"]) == (1, "violated", True)


def test_what_got_worse_fails_the_run(stub):
    """What conformed in the baseline and does not any more fails the run, a SHOULD too."""
    baseline(stub, "ok")
    result = stub("--keyconform=advises", "--keyconform-only", "--keyconform-baseline=before.json")
    result.assert_outcomes(passed=3, xfailed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "ERROR: worse than the baseline: FMT05 conformed, and is violated now: text",
            "note: compared with another target: ok then, advises now",
        ]
    )


def test_a_baseline_that_cannot_be_read_exits_4(stub):
    """A baseline that is not there, or is no report, exits 4 before anything is judged."""
    (stub.path / "x.json").write_text('{\n"schema": 2}', encoding="utf-8")
    for name, message in (("none.json", "(No such file"), ("x.json", "(schema: ")):
        result = stub("--keyconform=ok", "--keyconform-only", f"--keyconform-baseline={name}", child=True)
        assert result.ret == 4
        assert f"--keyconform-baseline: expected a JSON report of this plugin, found {stub.path / name} {message}" in (
            result.stderr.str()
        )


def test_a_baseline_for_each_target(stub):
    """With several targets {target} in the path names the baseline of each."""
    baseline(stub, "breaks", "before-breaks.json")
    baseline(stub, "ok", "before-ok.json")
    flags = ("--keyconform-only", "--keyconform-baseline=before-{target}.json")
    result = stub("--keyconform=breaks", "--keyconform=ok", *flags)
    result.assert_outcomes(passed=7, xfailed=1)
    assert result.ret == 0


def test_what_a_backend_must_have(stub):
    """--keyconform-require fails a backend that lacks an operation of its kind."""
    result = stub("--keyconform=ok", "--keyconform-only", "--keyconform-require=in-process")
    result.assert_outcomes(passed=4)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["ERROR: ok lacks record, which a backend of kind in-process must have"])


LATER = """
def pytest_keyconform_invariants():
    import stub_judge
    stub_judge.CATALOGUE[3].since = "1.1"
    return []
"""


def test_later_invariants_are_advisory(stub, pytester):
    """With a pinned catalogue an invariant that came later is advisory, and the report names the version."""
    pytester.makeconftest(LATER)
    flags = ("--keyconform-only", "--keyconform-spec=1.0", "--keyconform-report=json:r.json")
    result = stub("--keyconform=breaks", *flags, child=True)
    result.assert_outcomes(passed=3, xfailed=1)
    assert result.ret == 0
    report, one = reported(stub)
    assert (report["spec"], report["verdict"], one["pinned"], one["status"]) == ("1.0", "conforms", True, "violated")
    assert stub("--keyconform=breaks", "--keyconform-only", "--keyconform-spec=1.1", child=True).ret == 1


def test_a_catalogue_that_never_was(stub):
    """A version that there never was exits 4, with those there are."""
    result = stub("--keyconform=ok", "--keyconform-only", "--keyconform-spec=2.0", child=True)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --keyconform-spec: expected a version of the catalogue (1.0), found '2.0'"])


def test_every_format_is_written(stub):
    """Several reports of one run are written, each in its format, with the comparison."""
    baseline(stub, "ok")
    formats = {"json": "r.json", "junit": "r.xml", "html": "r.html", "sarif": "r.sarif", "markdown": "r.md"}
    flags = [f"--keyconform-report={form}:{name}" for form, name in {**formats, "badge": "r.svg"}.items()]
    stub("--keyconform=breaks", "--keyconform-only", "--keyconform-baseline=before.json", *flags)
    texts = {name: (stub.path / name).read_text(encoding="utf-8") for name in (*formats.values(), "r.svg")}
    assert all("QUO01" in texts[name] for name in formats.values())
    assert all("conformed, and is violated now" in texts[name] for name in ("r.html", "r.md"))
    assert "violates" in texts["r.svg"]


def test_a_badge_of_no_kind_exits_4(stub):
    """A badge that is neither .svg nor .json is refused before anything is judged."""
    result = stub("--keyconform=ok", "--keyconform-only", "--keyconform-report=badge:b.png", child=True)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --keyconform-report: expected a badge to be called .svg or .json, found*"])


def test_a_full_disk_is_no_lost_run(stub):
    """A report that the disk refuses is an error with exit 4, and the others are written, the summary printed."""
    flags = ("--keyconform-report=json:/dev/full", "--keyconform-report=json:r.json")
    result = stub("--keyconform=ok", "--keyconform-only", *flags)
    assert result.ret == 4
    result.stdout.fnmatch_lines(
        ["ok: CONFORMS *", "ERROR: --keyconform-report: /dev/full could not be written (No space left on device)*"]
    )
    assert reported(stub)[0]["verdict"] == "conforms"
