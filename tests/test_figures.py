"""The coverage of a backend by its conformance run, on each engine, beside another coverage, in workers."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

SHAPES = {
    "tasks": """
        import asyncio
        class Manager:
            def __init__(self, api_keys):
                self.keys = list(api_keys)
            async def get_next_working_key(self, model_name=None):
                await asyncio.sleep(0)
                self.keys.append(self.keys.pop(0))
                return self.keys[-1]
            async def get_keys_by_status(self):
                return {"valid_keys": {}, "invalid_keys": {}}
            async def never(self):
                return 1
    """,
    "threads": """
        import threading
        class Manager:
            def __init__(self, api_keys):
                self.keys, self.lock = list(api_keys), threading.Lock()
            def get_next_working_key(self, model_name=None):
                with self.lock:
                    self.keys.append(self.keys.pop(0))
                    return self.keys[-1]
            def get_keys_by_status(self):
                return {"valid_keys": {}, "invalid_keys": {}}
            def never(self):
                return 1
    """,
    "processes": """
        import os, pathlib
        class Manager:
            policies = {"durability": "write-through"}
            def __init__(self, api_keys, storage):
                self.keys, self.path, self.parent = list(api_keys), pathlib.Path(storage) / "turn", os.getppid()
            def get_next_working_key(self, model_name=None):
                return self.keys[0]
            def update_usage(self, model_name, key_value, tokens_used=0):
                with self.path.open("a") as file:
                    file.write("x")
                return True
            def get_usage_stats(self, api_key, model_name):
                used = len(self.path.read_text()) if self.path.exists() else 0
                return {"rpm": used, "tpm": 0, "rpd": used}
            def never(self):
                return 1
    """,
}
SELECT = {"tasks": "ACQ01,FMT01", "threads": "ACQ01,FMT01", "processes": "DUR03"}


def manager(folder, shape):
    """Write a manager of a shape; answer the line that no workload reaches."""
    lines = textwrap.dedent(SHAPES[shape]).lstrip().splitlines()
    (folder / "covered.py").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return len(lines)


def run(folder, *words, before=("-m", "pytest")):
    """Run pytest on the manager with its coverage asked for; answer what came of it and the report."""
    flags = ["--keyconform=covered:Manager", "--keyconform-only", "--keyconform-cov=covered", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, *before, *flags, "--keyconform-profile=smoke", "--keyconform-report=json:r.json", *words],
        cwd=folder,
        env={**os.environ, "COVERAGE_FILE": str(folder / "other")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    path = folder / "r.json"
    return done, json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


@pytest.mark.parametrize("shape", SHAPES)
def test_each_engine_is_measured(tmp_path, shape):
    """What the workloads reach on tasks, in threads and in processes counts; what they do not is named."""
    missing = manager(tmp_path, shape)
    done, report = run(tmp_path, f"--keyconform-select={SELECT[shape]}")
    one = report["coverage"]["covered.py"]
    assert any(shape in result["engines"] for result in report["invariants"])
    assert one["missing"] == [str(missing)]
    assert f"  covered.py {one['percent']:g} %: no workload reached {missing}" in done.stdout
    assert (one["lines"] - one["reached"], one["branches"] - one["taken"]) == (1, 0)


def test_below_the_limit_the_gate_fails(tmp_path):
    """Below --keyconform-cov-fail-under the run fails and says by how much."""
    manager(tmp_path, "threads")
    done, _ = run(tmp_path, "--keyconform-select=ACQ01", "--keyconform-cov-fail-under=95")
    assert done.returncode == 1
    assert "ERROR: coverage: the invariants reach 83.3 % of covered, below 95 %" in done.stdout
    assert run(tmp_path, "--keyconform-select=ACQ01")[0].returncode == 0


def test_in_workers(tmp_path):
    """What workers measured is added up."""
    missing = manager(tmp_path, "threads")
    _, report = run(tmp_path, "--keyconform-select=ACQ01,FMT01", "-n", "2")
    assert report["coverage"]["covered.py"]["missing"] == [str(missing)]


def test_beside_another_coverage(tmp_path):
    """`coverage run` has afterwards what it would have had."""
    missing = manager(tmp_path, "threads")
    outer = ("-m", "coverage", "run", "--branch", "--source=covered", "-m", "pytest")
    done, report = run(tmp_path, "--keyconform-select=ACQ01,FMT01", before=outer)
    assert (done.returncode, report["coverage"]["covered.py"]["missing"]) == (0, [str(missing)])
    told = subprocess.run(
        [sys.executable, "-m", "coverage", "report", "-m"],
        cwd=tmp_path,
        env={**os.environ, "COVERAGE_FILE": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.stdout.splitlines()[2].split()[-1] == str(missing)


def test_a_package_that_is_none_of_the_backend(tmp_path):
    """Where nothing of the package was run, the gate fails and says what to name."""
    manager(tmp_path, "threads")
    done = subprocess.run(
        [sys.executable, "-m", "pytest_keyconform.cli", "check", "covered:Manager", "--select=ACQ01", "--cov=convered"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "ERROR: coverage: nothing of convered was run; name the package of the backend" in done.stderr
