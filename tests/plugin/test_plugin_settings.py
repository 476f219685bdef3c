"""Where settings come from, and which place wins: flag, environment, keyconform.toml, pyproject.toml, ini key."""

import pytest


def seed_of(result):
    """Answer the seed that the summary shows."""
    (verdict,) = (line for line in result.outlines if line.startswith("ok: "))
    return int(verdict.partition("seed ")[2].partition(",")[0])


def test_the_nearer_place_wins(stub, pytester, monkeypatch):
    """Each place is overruled by the next: ini, pyproject.toml, keyconform.toml, environment, flag."""
    pytester.makeini("[pytest]\nkeyconform = ok\nkeyconform_only = true\nkeyconform_seed = 1\n")
    assert seed_of(stub()) == 1
    pytester.makepyprojecttoml("[tool.keyconform]\nseed = 2\n")
    assert seed_of(stub()) == 2
    pytester.path.joinpath("keyconform.toml").write_text("seed = 3\n", encoding="utf-8")
    assert seed_of(stub()) == 3
    monkeypatch.setenv("KEYCONFORM_SEED", "4")
    assert seed_of(stub()) == 4
    assert seed_of(stub("--keyconform-seed=5")) == 5


@pytest.mark.parametrize("file", ["keyconform.toml", "pyproject.toml"])
def test_a_target_in_a_file(stub, pytester, file):
    """A target in a file is judged by a plain pytest."""
    table = "" if file == "keyconform.toml" else "[tool.keyconform]\n"
    pytester.path.joinpath(file).write_text(f'{table}target = "ok"\nonly = true\n', encoding="utf-8")
    stub().assert_outcomes(passed=4)


def test_a_target_in_the_environment(stub, monkeypatch):
    """KEYCONFORM_TARGET names a target."""
    monkeypatch.setenv("KEYCONFORM_TARGET", "ok")
    monkeypatch.setenv("KEYCONFORM_ONLY", "1")
    stub().assert_outcomes(passed=4)


def test_settings_without_a_target_judge_nothing(stub, pytester):
    """Settings in a file that names no target add nothing to a session."""
    pytester.makepyprojecttoml('[tool.keyconform]\nprofile = "smoke"\n[tool.keyconform.targets]\nmine = "ok"\n')
    pytester.makepyfile("def test_one(): pass\n")
    result = stub()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*keyconform mine*")


def test_configured_names(stub, pytester):
    """A name of the targets' table stands for its target, as a string or as a table."""
    pytester.makepyprojecttoml(
        '[tool.keyconform.targets]\nmine = "breaks"\nother = { target = "ok", policies = { tenure = "lease" } }\n'
    )
    stub("--keyconform=mine", "--keyconform-only").assert_outcomes(passed=3, failed=1)
    stub("--keyconform=other", "--keyconform-only").assert_outcomes(passed=4)


@pytest.mark.parametrize(
    "content, message",
    [
        ("profil = 'ci'\n", "unknown key 'profil'; did you mean 'profile'?"),
        ("profile = 'fast'\n", "keyconform.toml: profile: expected smoke, ci or deep, found 'fast'"),
        ("targets = 3\n", "targets: expected a table of names and targets, found 3"),
        ("[targets]\nok = { targt = 'x' }\n", "[tool.keyconform.targets] ok: "),
        ("profile\n", "keyconform.toml: expected TOML, but "),
    ],
)
def test_a_bad_file(stub, pytester, content, message):
    """A file that cannot be used is refused with its name, what was expected and what was found."""
    pytester.path.joinpath("keyconform.toml").write_text(content, encoding="utf-8")
    result = stub("--keyconform=ok", "--keyconform-only")
    assert result.ret == 4
    (line,) = (line for line in result.errlines if line.strip())
    assert message in line


def test_a_bad_ini_key(stub, pytester):
    """An ini key of the wrong type is refused with its name."""
    pytester.makeini("[pytest]\nkeyconform = ok\nkeyconform_timeout = soon\n")
    result = stub()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: *tox.ini: keyconform_timeout: *soon*"])


def test_relative_reports_begin_at_their_file(stub, pytester):
    """A report's path in a file begins at that file, one in a flag where pytest was called."""
    pytester.makepyprojecttoml('[tool.keyconform]\nreport = ["json:of-file.json"]\n[tool.pytest.ini_options]\n')
    folder = pytester.mkdir("folder")
    pytester.chdir()
    stub("--keyconform=ok", "--keyconform-only", "--rootdir", str(pytester.path), str(folder))
    assert (pytester.path / "of-file.json").is_file()
