"""Settings: merged from their places, validated, with errors that name the place."""

from pathlib import Path

import pytest

from pytest_keyconform.errors import ReportError, SettingError
from pytest_keyconform.spec.settings import (
    Settings,
    Source,
    check_select,
    environment_source,
    files,
    nearest,
    read,
)


def of(table=None, **values):
    """Read settings from flags alone."""
    flags = Source(values=values, naming="--keyconform", folder=Path())
    return read([flags], table=table or {}, search=())


def test_the_defaults():
    """Where nothing is said the profile is ci, MUSTs gate, the seed is 0 and an invariant may take a minute."""
    found = of(target=["app:make"])
    assert (found.profile, found.level, found.seed, found.timeout) == ("ci", "must", 0, 60.0)
    assert (found.only, found.select, found.reports, found.max_time) == (False, (), (), None)


def test_the_first_source_wins():
    """A value that an earlier source leaves out is taken from a later one."""
    first = Source(values={"seed": "5", "profile": None, "report": []}, naming="--keyconform", folder=Path())
    last = Source(values={"seed": "1", "profile": "deep"}, naming="x: {name}", folder=Path())
    found = read([first, last], table={}, search=())
    assert (found.seed, found.profile) == (5, "deep")


def test_scenarios_are_found_from_where_they_are_named(tmp_path):
    """A path of scenarios begins at the folder of who names it; `builtin` is a name; flags win over files."""
    flags = Source(values={"scenarios": None}, naming="--keyconform", folder=Path("elsewhere"))
    file = Source(values={"scenarios": ["stories", "builtin/time"]}, naming="x: {name}", folder=tmp_path)
    found = read([flags, file], table={}, search=())
    assert found.scenarios == (str(tmp_path / "stories"), "builtin/time")
    assert of(scenarios="one.yaml").scenarios == ("one.yaml",)


def test_the_folder_for_failures_is_made(tmp_path):
    """Programs that break invariants are saved to a folder that is made where it is not there."""
    source = Source(values={"save_failures": "a/b"}, naming="x: {name}", folder=tmp_path)
    assert read([source], table={}, search=()).save_failures == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_they_travel_as_json():
    """Settings come back from JSON as they were: that is how a worker gets them."""
    found = of(target=["a=app:make"], select="acq,FMT01", seed="random", replay="ACQ01:t1:x", max_time="9")
    assert Settings.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    "select, ids",
    [("acq, fmt01", ("ACQ", "FMT01")), (["ACQ01", "QUO,"], ("ACQ01", "QUO"))],
)
def test_selections(select, ids):
    """Ids and families come as one string or several, in any casing."""
    assert of(select=select).select == ids


def test_a_random_seed_is_a_number():
    """A random seed is drawn when the settings are read."""
    assert isinstance(of(seed="random").seed, int)


@pytest.mark.parametrize(
    "text, name, target",
    [
        ("app.keys:make", "app.keys:make", "app.keys:make"),
        ("mine=app.keys:make", "mine", "app.keys:make"),
        ("configured", "configured", "app:configured"),
        ("mine=configured", "mine", "app:configured"),
        ("http://host:1/a=b", "http://host:1/a=b", "http://host:1/a=b"),
        ("a::b[c]", "a-b-c-", "a::b[c]"),
    ],
)
def test_targets(text, name, target):
    """A target is named by NAME=TARGET, looked up among the configured ones, or stands for itself."""
    (found,) = of(target=[text], table={"configured": "app:configured"}).targets
    assert (found.name, found.target, found.asked) == (name, target, text)


def test_a_configured_target_has_policies():
    """A table names the target and the policies set for it."""
    (found,) = of(target="mine", table={"mine": {"target": "a:b", "policies": {"tenure": "lease"}}}).targets
    assert found.policies == {"tenure": "lease"}


@pytest.mark.parametrize(
    "values, message",
    [
        ({"profile": "fast"}, "--keyconform-profile: expected smoke, ci or deep, found 'fast'"),
        ({"only": "perhaps"}, "--keyconform-only: expected true or false, found 'perhaps'"),
        ({"select": 3}, "--keyconform-select: expected ids or families such as ACQ,FMT01, found 3"),
        ({"target": 3}, "expected a string or a list of strings, found 3"),
        ({"target": ["a", "a"]}, "two targets are called 'a'"),
    ],
)
def test_refused(values, message):
    """What cannot be used is refused with its place, what was expected and what was found."""
    with pytest.raises(SettingError, match=message.replace("[", r"\[")):
        of(**values)


def test_a_variable_is_called_by_its_name():
    """A bad value in the environment is told of that variable; variables that are not ours are left alone."""
    source = environment_source({"KEYCONFORM_MAX_TIME": "-1", "KEYCONFORM_REDIS_URL": "x"}, Path())
    with pytest.raises(SettingError, match="KEYCONFORM_MAX_TIME: expected a number of seconds above 0"):
        read([source], table={}, search=())


def test_files_of_a_folder(tmp_path):
    """keyconform.toml comes before pyproject.toml, and their targets are joined."""
    (tmp_path / "keyconform.toml").write_text('seed = 1\n[targets]\na = "x:a"\n', encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.keyconform]\nseed = 2\n[tool.keyconform.targets]\na = "y:a"\nb = "y:b"\n', encoding="utf-8"
    )
    sources, table = files(tmp_path)
    assert [source.values for source in sources] == [{"seed": 1}, {"seed": 2}]
    assert table == {"a": "x:a", "b": "y:b"}


def test_an_empty_folder(tmp_path):
    """A folder without files says nothing."""
    assert files(tmp_path) == ([], {})


def test_a_table_that_is_none(tmp_path):
    """A [tool.keyconform] that is no table is refused with its file."""
    (tmp_path / "pyproject.toml").write_text("[tool]\nkeyconform = 3\n", encoding="utf-8")
    with pytest.raises(SettingError, match=r"pyproject\.toml: expected a table"):
        files(tmp_path)


def test_reports_are_tried_before(tmp_path):
    """A path is tried without leaving a file, and a file that is there is left as it is."""
    there = tmp_path / "there.json"
    there.write_text("old", encoding="utf-8")
    of(target="a", report=[f"json:{tmp_path / 'new.json'}", f"json:{there}"])
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"]
    assert there.read_text(encoding="utf-8") == "old"
    with pytest.raises(ReportError, match="make its folder, or name another path"):
        of(target="a", report=f"json:{tmp_path / 'missing' / 'r.json'}")


def test_the_path_of_a_target(tmp_path):
    """{target} in a path stands for the name, without what a file's name cannot have."""
    (report,) = of(target=["a", "http://b"], report=f"json:{tmp_path}/r-{{target}}.json").reports
    assert report.path_for("http://b").name == "r-http_b.json"


def test_selections_are_checked():
    """Ids and families of the catalogue pass, anything else is refused with the nearest."""
    check_select(["ACQ", "FMT01"], ["ACQ01", "FMT01"])
    with pytest.raises(SettingError, match="found 'FTM01'; did you mean 'FMT01'"):
        check_select(["FTM01"], ["ACQ01", "FMT01"])


def test_nothing_near():
    """Where nothing is near, nothing is suggested."""
    assert nearest("xyz", ["profile"]) == ""


def test_a_configured_target_may_be_a_service_that_is_started():
    """What its table says beside the target is handed on; what it does not say is not."""
    (found,) = of(target="svc", table={"svc": {"target": "http://127.0.0.1:{port}", "start": "run {port}"}}).targets
    assert found.table() == {"target": "http://127.0.0.1:{port}", "start": "run {port}"}
    assert (found.start_timeout, found.stop_timeout, found.network) == (30.0, 10.0, False)
    (plain,) = of(target="svc", table={"svc": "app:make"}).targets
    assert plain.table() == {}
