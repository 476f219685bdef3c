"""The scenario files that are shipped, how files are found, and programs saved as such."""

import asyncio
import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from pytest_keyconform import Adapter, Lease, Policies
from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.conformance import Conformance
from pytest_keyconform.conformance.scenarios import rule, rules
from pytest_keyconform.conformance.scenarios.compiling import compiled
from pytest_keyconform.conformance.scenarios.finding import found, shipped
from pytest_keyconform.conformance.scenarios.saving import save
from pytest_keyconform.errors import ScenarioError
from pytest_keyconform.report import InvariantReport
from pytest_keyconform.spec.scenario.reading import read
from pytest_keyconform.spec.settings import Settings, TargetSetting
from pytest_keyconform.workload import Given, Limits, Workload

SHIPPED = rules(["builtin"], CATALOGUE)
AUDITS = ("000", "001", "002", "003", "004")


def story(when, then="[{raises: typed}]", given="{}"):
    """Answer the scenario of these parts, written as YAML flows."""
    return read(f"title: t\ngiven: {given}\nwhen: {when}\nthen: {then}\n", "story.yaml")


def program(when, **more):
    """Answer the workload of a scenario."""
    return compiled(story(when, **more)).workload


def told(steps):
    """Answer steps as a reader would see them."""
    return [str(step) for step in steps]


def test_there_are_many_in_every_family():
    """Each family of the catalogue has its stories, and each of the five audits as well."""
    folders = Counter(name.partition("/")[0] for name in found(["builtin"], said="test"))
    assert sum(folders.values()) >= 150
    families = ("acquire", "quota", "exhaustion", "unknown", "failure", "vertex", "formats", "lifecycle", "time")
    assert all(folders[family] >= 5 for family in (*families, "liveness", "durability"))
    told = Counter(name.split("/")[1][:3] for name in found(["builtin/audits"], said="test"))
    assert set(told) == set(AUDITS)
    assert min(told.values()) >= 4


def test_an_audit_tells_its_own_story():
    """What stands in the folder of an audit names an issue of it."""
    for kind in SHIPPED:
        path = Path(kind.source).relative_to(shipped())
        if path.parts[0] == "audits":
            assert any(audit.startswith(path.parts[1][:3]) for audit in kind.audits), path


def test_each_has_a_hint_for_editors_and_a_name():
    """The first line names the schema, from where the file is; titles are told apart, and covers something."""
    for kind in SHIPPED:
        first = Path(kind.source).read_text(encoding="utf-8").splitlines()[0]
        hint = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert hint, kind.source
        assert (Path(kind.source).parent / hint[1]).resolve() == (shipped() / "schema.json").resolve()
        assert kind.scenario.covers, kind.source
    assert not [title for title, times in Counter(kind.title() for kind in SHIPPED).items() if times > 1]


def judging(target, kinds, **more):
    """Answer a conformance of a target by these scenarios, opened."""
    setting = TargetSetting(name="it", target=target, asked=target)
    conformance = Conformance(Settings(targets=(setting,), profile="smoke", **more), setting, kinds)
    conformance.start()
    return conformance


def test_the_reference_keeps_all_that_apply():
    """The reference breaks none of the shipped scenarios, and most of them apply to it."""
    conformance = judging("reference", SHIPPED)
    reports = [conformance.judge(kind.id) for kind in SHIPPED]
    assert {report.status for report in reports} == {"conforms", "not-applicable"}
    assert sum(report.status == "conforms" for report in reports) >= 125


class Leases(Adapter):
    """Keys are held under a number until they are given back; who finds none waits for one."""

    policies = Policies(exhaustion="blocks", tenure="lease", counted_on="none")

    def __init__(self, pool):
        super().__init__(pool)
        self._free, self._held, self._freed = list(dict.fromkeys(pool.api_keys)), {}, asyncio.Condition()
        self._numbers = itertools.count()

    async def acquire(self):
        async with self._freed:
            try:
                async with asyncio.timeout(5):
                    await self._freed.wait_for(lambda: self._free)
            except TimeoutError:
                return ""
            number = next(self._numbers)
            self._held[number] = self._free.pop(0)
            return Lease(self._held[number], handle=number)

    async def release(self, lease) -> None:
        async with self._freed:
            if lease.handle in self._held:
                self._free.append(self._held.pop(lease.handle))
                self._freed.notify()

    def status(self):
        return {"valid_keys": dict.fromkeys(self.pool.api_keys, 0), "invalid_keys": {}}


def test_leases_that_are_waited_for_have_their_stories():
    """What the shipped stories say of leases and of those who wait for one holds of a manager that does both."""
    conformance = judging(f"{__name__}:Leases", SHIPPED)
    told = {kind.id[9:-1] for kind in SHIPPED if conformance.judge(kind.id).status == "conforms"}
    assert told >= {
        "acquire/a-lease-is-exclusive",
        "acquire/a-lease-is-given-back-once",
        "acquire/a-late-release-frees-nothing",
        "acquire/leases-in-parallel",
        "liveness/who-waits-for-a-lease-is-served",
    }


def test_what_cannot_be_run_says_what_is_lacking(tmp_path):
    """A scenario for another policy, an operation or a storage that is not there is not applicable, and says so."""
    texts = {
        "policy": "given: {policies: {tenure: lease}}\nwhen: [{acquire: }]\n",
        "operation": "when: [{is_secret: {name: x}}]\n",
        "storage": "when: [{restart: }]\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(f"title: {name}\n{text}then: [{{raises: never}}]\n", encoding="utf-8")
    kinds = rules([str(tmp_path)], CATALOGUE)
    conformance = judging("reference", kinds)
    reasons = {kind.title(): conformance.judge(kind.id).reason for kind in kinds}
    assert "tenure" in reasons["policy"]
    assert "is_secret" in reasons["operation"]
    assert "storage" in reasons["storage"]


def test_paths_lead_to_files(tmp_path):
    """A folder is searched, a file is taken, the shipped ones have a name; names carry the folder."""
    for name in ("a/one.yaml", "a/b/two.yml", "three.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(found([str(tmp_path)], said="x")) == ["a/b/two", "a/one", f"{tmp_path.name}/three"]
    assert list(found([str(tmp_path / "a" / "one.yaml")] * 2, said="x")) == ["a/one"]
    assert list(found(["builtin/acquire/a-round-serves-every-key"], said="x")) == ["acquire/a-round-serves-every-key"]


def test_paths_that_lead_nowhere_are_refused(tmp_path):
    """A path without a scenario, and two files of one name, are refused with the mend."""
    with pytest.raises(ScenarioError, match=r"found nothing there: .*none"):
        found([str(tmp_path / "none")], said="--keyconform-scenarios")
    with pytest.raises(ScenarioError, match="found a folder without one"):
        found([str(tmp_path)], said="--keyconform-scenarios")
    with pytest.raises(ScenarioError, match="did you mean 'builtin/acquire/a-lease-is-exclusive'"):
        found(["builtin/acquire/a-lease-is-exclusiv"], said="--keyconform-scenarios")
    for folder in ("x", "y"):
        (tmp_path / folder / "same").mkdir(parents=True)
        (tmp_path / folder / "same" / "one.yaml").touch()
    with pytest.raises(ScenarioError, match="expected each name once, found 'same/one'"):
        found([str(tmp_path / "x"), str(tmp_path / "y")], said="--keyconform-scenarios")


def test_an_id_that_the_catalogue_lacks_is_refused(tmp_path):
    """A scenario that covers or keeps an invariant that is none is refused at its line."""
    path = tmp_path / "one.yaml"
    path.write_text("title: t\nwhen: [{acquire: }]\nthen:\n  - keeps: [ACQ99]\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"one\.yaml:4: expected an id of the catalogue, found 'ACQ99'"):
        rule(path, "one", CATALOGUE)


def report(id_="ACQ05"):
    """Answer a report of a violated invariant."""
    return InvariantReport(id=id_, family="ACQ", title="a promise", level="must", status="violated")


def test_a_saved_program_is_the_same_program(tmp_path):
    """What is saved is read as the program it was, also with calls that overlap, and expects the invariant."""
    given = Given(regular=("key-1", "key-1", "key-2"), limits=(("m1", Limits(rpm=3)),), max_failures=2, starts=900.0)
    when = "[{advance: 5}, {parallel: [{fail: {key: key-1, status: 429}}, [{acquire: {as: a}}, {record: {key: a}}]]}]"
    told = compiled(story(when, given="{regular: [key-1, key-2]}")).workload
    original = Workload(name="generated", given=given, setup=told.setup, clients=told.clients, finale=told.finale)
    path = save(tmp_path, "app.keys:make", report(), original)
    assert path == tmp_path / "app.keys-make" / "ACQ05.yaml"
    kind = rule(path, "saved", CATALOGUE)
    (again,) = kind.programs
    assert (again.workload.given.regular, again.workload.given.starts) == (given.regular, given.starts)
    assert [list(map(str, part)) for part in again.workload.clients] == [
        list(map(str, part)) for part in original.clients
    ]
    assert kind.kept[0].id == "ACQ05"
    assert not again.workload.whole


def test_what_no_file_can_say_is_not_saved(tmp_path):
    """A program with a step that is the harness' own alone leaves no file behind."""
    found = compiled(story("[{crash: {during: {record: {key: k1}}}}]")).workload
    assert save(tmp_path, "it", report(), found) is None
    assert list(tmp_path.iterdir()) == []
