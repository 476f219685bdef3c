"""The whole way with the real judge: a key manager in, items, a page, a report and an exit status out."""

import json

import pytest

KEYS = """
import asyncio

class Keys:
    def __init__(self, api_keys, vertex_api_keys):
        self.keys, self.at, self.rows = {False: list(api_keys), True: list(vertex_api_keys)}, 0, {}

    async def get_key(self, model_name=None, is_vertex_key=False):
        keys, at = self.keys[is_vertex_key], self.at
        await asyncio.sleep(0)
        self.at = at + 1
        return keys[at % len(keys)] if keys else ""

    async def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        return True

def ready():
    print("imported")
    raise RuntimeError("no database")
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Answer a function that judges in a child process with the smallest budget."""
    pytester.makepyfile(keys=KEYS)
    monkeypatch.delenv("KEYCONFORM_TARGET", raising=False)

    def judge(*flags):
        return pytester.runpytest_subprocess(
            "--keyconform-only", "--keyconform-profile=smoke", "--keyconform-select=ACQ", *flags, timeout=300
        )

    judge.path = pytester.path
    return judge


def read(run, name):
    """Answer a JSON report without what may differ between two runs."""
    plain = json.loads((run.path / name).read_text(encoding="utf-8"))
    del plain["run"]
    return {**plain, "invariants": [{**one, "seconds": 0} for one in plain["invariants"]]}


def test_the_reference_conforms(run):
    """The reference is judged green from a folder with nothing of ours in it."""
    result = run("--keyconform=reference")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["reference: PARTIAL (*, seed 0, spec 1.0, * s)"])
    assert "failed" not in result.parseoutcomes()


def test_a_race_is_shown_and_replayed(run):
    """A race is found and shown with the backend's own lines, and its command runs it again alone."""
    result = run("--keyconform=keys:Keys", "--keyconform-report=json:r.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["ACQ01 violated: *", "*keys.py:9  await asyncio.sleep(0)*", "*observed: *"])
    broken = {one["id"]: one for one in read(run, "r.json")["invariants"] if one["status"] == "violated"}
    again = run("--keyconform=keys:Keys", f"--keyconform-replay={broken['ACQ01']['counterexample']['replay']}")
    assert again.ret == 1
    assert again.parseoutcomes() == {"failed": 1}
    again.stdout.fnmatch_lines([f"*{broken['ACQ01']['counterexample']['observed']}"])


def test_the_same_seed_gives_the_same_report(run):
    """Two runs with one seed that know of no earlier one differ in their times alone, also where one is parallel."""
    run("--keyconform=keys:Keys", "--keyconform-report=json:one.json", "-p", "no:cacheprovider")
    run("--keyconform=keys:Keys", "--keyconform-report=json:two.json", "-p", "no:cacheprovider", "-n", "2")
    assert read(run, "one.json") == read(run, "two.json")


@pytest.mark.parametrize("parallel", [(), ("-n", "2")], ids=["alone", "parallel"])
@pytest.mark.parametrize(
    "target, message",
    [
        ("keys:Kees", "*no attribute 'Kees', did you mean 'Keys'?*"),
        ("kees:Keys", "*there is no module 'kees' in *"),
        ("keys:ready", "*keys:ready*"),
        ("refrence", "*did you mean 'reference'?*"),
    ],
)
def test_a_bad_target_is_one_message(run, target, message, parallel):
    """A target that cannot be used is one message, exit 4 and a report, and nothing is printed by it."""
    result = run(f"--keyconform={target}", "--keyconform-report=json:r.json", *parallel)
    assert result.ret == 4
    (line,) = (line for line in result.errlines if line.strip())
    assert result.outlines == []
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert read(run, "r.json")["error"] == line.removeprefix("ERROR: ")
