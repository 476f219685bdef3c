"""What is shipped, and that it works where nothing else is.

Needs `build` and `hatchling`: `tox -e wheel` has them, and a plain `pytest` runs this where they are found.
"""

import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path, PurePosixPath

import pytest

pytest.importorskip("build")
pytest.importorskip("hatchling")

ROOT = Path(__file__).parents[2]
SECONDS = 300


def run(*command: str, cwd: Path) -> str:
    """Run a Python command; answer its standard output, or fail with all it said."""
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> set[str]:
    """The files of a folder of the checkout, without caches."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the sdist, and the wheel from it, as pip does for who has no wheel."""
    folder = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    """The names in the wheel, and how to read one."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def sdist_names(built):
    """The names in the sdist, below its one folder."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_wheel_adds_two_names(wheel):
    """An installation puts exactly two names into site-packages, beside its metadata."""
    tops = {PurePosixPath(name).parts[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "keyconform_reference",
        "pytest_keyconform",
    }


def test_wheel_holds_the_packages(wheel):
    """The wheel holds every file of both packages, `py.typed` among them, the scenarios, and no more."""
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        f"{folder.name}/{name}"
        for folder in (ROOT / "pytest_keyconform", ROOT / "reference_impl" / "keyconform_reference")
        for name in files(folder)
    } | {f"pytest_keyconform/scenarios/{name}" for name in files(ROOT / "scenarios")}
    assert shipped == expected
    assert {"pytest_keyconform/py.typed", "keyconform_reference/py.typed"} <= shipped


def test_wheel_registers_plugin_and_command(wheel):
    """The wheel registers the plugin as `keyconform` and the command of the same name, and nothing else."""
    (name,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    entries = ConfigParser()
    entries.read_string(wheel.read(name).decode())
    assert {section: dict(entries[section]) for section in entries.sections()} == {
        "console_scripts": {"keyconform": "pytest_keyconform.cli:main"},
        "pytest11": {"keyconform": "pytest_keyconform.plugin"},
    }


def test_wheel_carries_its_license(wheel):
    """The license is in the wheel, word for word."""
    (name,) = (name for name in wheel.namelist() if name.endswith("/licenses/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_sdist_can_be_built_and_tested(sdist_names):
    """The sdist holds the build hook, the tests, the scenarios and the test command."""
    folders = ("pytest_keyconform", "reference_impl", "scenarios", "tests")
    expected = {f"{folder}/{name}" for folder in folders for name in files(ROOT / folder)}
    expected |= {".ci/run", "LICENSE", "README.md", "hatch_build.py", "pyproject.toml", "tox.ini"}
    assert expected <= sdist_names


def test_editable_install_reads_the_checkout(tmp_path):
    """An editable wheel points at the two parents of the packages, and copies no scenario."""
    build = "import sys; from hatchling.build import build_editable; print(build_editable(sys.argv[1]))"
    name = run("-c", build, str(tmp_path), cwd=ROOT).split()[-1]
    with zipfile.ZipFile(tmp_path / name) as archive:
        (link,) = (name for name in archive.namelist() if ".dist-info/" not in name)
        assert set(archive.read(link).decode().split("\n")) == {str(ROOT), str(ROOT / "reference_impl")}


def test_reference_is_judged_in_an_empty_folder(tmp_path):
    """What is installed judges the embedded reference in an empty folder, and finds it conforming."""
    command = ("-m", "pytest", "-p", "no:cacheprovider", "--keyconform=reference", "--keyconform-only")
    assert " passed" in run(*command, cwd=tmp_path).splitlines()[-1]
    assert not list(tmp_path.iterdir())
