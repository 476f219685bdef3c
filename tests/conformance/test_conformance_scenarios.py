"""Scenarios compiled to workloads, their expectations judged over histories, and the files that are shipped."""

import asyncio
import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from pytest_keyconform import Adapter, Lease, Policies
from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.catalogue.notation import EVERYTHING
from pytest_keyconform.catalogue.notation import read as history_of
from pytest_keyconform.conformance import Conformance
from pytest_keyconform.conformance.scenarios import rule, rules
from pytest_keyconform.conformance.scenarios.compiling import compiled, variants
from pytest_keyconform.conformance.scenarios.finding import found, shipped
from pytest_keyconform.conformance.scenarios.rule import rule_of
from pytest_keyconform.conformance.scenarios.saving import save
from pytest_keyconform.engine.explore import Unjudged
from pytest_keyconform.errors import ScenarioError
from pytest_keyconform.history import History, Noise, NoiseKind
from pytest_keyconform.judging import judge_of
from pytest_keyconform.operation import Ref
from pytest_keyconform.report import InvariantReport
from pytest_keyconform.spec.scenario.reading import read
from pytest_keyconform.spec.settings import Settings, TargetSetting
from pytest_keyconform.verdict import Violation
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


# -- compiling


def test_what_is_parallel_becomes_clients():
    """Steps before the parallel ones are the setup, those after it the finale, and each caller is a client."""
    found = program("[{record: {key: k1}}, {parallel: [{acquire: {as: a}}, [{status: }, {close: }]]}, {acquire: {}}]")
    assert told(found.setup) == ["record(lease=k1, model=m1, tokens=1, outcome=success)"]
    assert [told(client) for client in found.clients] == [["a = acquire(model=m1)"], ["status()", "close()"]]
    assert told(found.finale) == ["acquire(model=m1)"]


def test_a_step_is_repeated_under_names_of_its_own():
    """Each answer of a repeated step is kept, and a later step that names it means the last one."""
    found = compiled(story("[{repeat: {times: 3, do: [{acquire: {as: a}}, {record: {key: a}}]}}, {record: {key: a}}]"))
    assert found.names == {"a": ("a", "a#2", "a#3")}
    referred = [step.invocation.get("lease") for step in found.workload.setup if step.name == "record"]
    assert referred == [Ref("a"), Ref("a#2"), Ref("a#3"), Ref("a#3")]


def test_a_repeat_among_callers_makes_callers():
    """In parallel each repetition is one more caller."""
    found = program("[{parallel: [{repeat: {times: 3, do: [{acquire: {}}]}}, {status: }]}]")
    assert [len(client) for client in found.clients] == [1, 1, 1, 1]


def test_the_model_that_is_left_out_is_the_default_one():
    """Left out it is the default model, null names none, and a reactivation without one is of all."""
    given = "{limits: {x: {}}}"
    found = program("[{acquire: {}}, {acquire: {model: null}}, {reactivate: {key: k1}}]", given=given)
    assert [step.invocation.get("model", "none") for step in found.setup] == ["x", None, "none"]


def test_the_pool_is_that_of_the_key():
    """A step on a vertex key, or on the answer of a vertex acquire, is about the vertex pool."""
    found = program("[{acquire: {pool: vertex, as: a}}, {record: {key: a}}, {fail: {key: v2}}, {usage: {key: k1}}]")
    assert [step.invocation.get("pool") for step in found.setup] == ["vertex", "vertex", "vertex", "regular"]


def test_an_instant_is_waited_for():
    """An instant is so many seconds from the beginning, and from what was waited for already."""
    given = "{begins: 2026-03-02T13:00:00Z}"
    found = program("[{advance: 60}, {advance: 2026-03-02T13:02:00Z}, {set_clock: -30}]", given=given)
    assert found.given.starts == 3600.0
    assert [step.invocation.get("seconds") for step in found.setup] == [60.0, 60.0, -30.0]


def test_a_call_is_cancelled_at_each_of_its_first_awaits():
    """A cancelled call without a number stands for several programs, one for each await; with one, for itself."""
    each, second = story("[{cancel: {call: {acquire: {}}}}]"), story("[{cancel: {call: {acquire: {}}, at: 2}}]")
    assert (variants(each), variants(second)) == (4, 1)
    programs = [compiled(each, at=at).workload for at in range(4)]
    assert [one.setup[0].invocation.get("cancel") for one in programs] == [0, 1, 2, 3]
    assert len({one.name for one in programs}) == 4
    assert compiled(second).workload.setup[0].invocation.get("cancel") == 2


def test_a_crash_needs_a_process():
    """What is killed is a process of its own, whose storage the reading at the end opens again."""
    when = "[{record: {key: k1}}, {crash: {during: {record: {key: k1}}, at: 1}}]"
    found = program(when, then="[{usage: {key: k1, rpm: 1}}]")
    assert found.apart
    assert [step.name for step in found.clients[0]] == ["record", "record", "crash"]
    assert found.clients[0][1].invocation.get("kill") == 1
    assert (found.setup, [step.name for step in found.finale]) == ((), ["usage"])


def test_what_is_expected_at_the_end_is_read_there():
    """A usage and a state are read after all steps, in every view that there may be."""
    then = "[{usage: {key: v1, rpm: 1}}, {state_of: {key: k1, valid: true, failures: 0}}]"
    assert told(program("[{tick: }]", then=then).finale) == [
        "then_0_usage = usage(key=v1, model=m1, pool=vertex)",
        "then_1_status = status()",
        "then_1_is_valid = is_valid(key=k1)",
        "then_1_failures = failures(key=k1)",
    ]


def test_what_is_given_is_needed_where_it_is_not_ordinary():
    """Limits, thresholds and another default model are needed; the lists of keys always come."""
    given = "{limits: {x: {rpm: 1}}, max_failures: 2, max_retries: 1, paid_key: k1}"
    found = program("[{acquire: {}}]", given=given).given
    assert found.needs == {"limits", "max_failures", "max_retries", "default_model", "paid_key"}
    assert program("[{acquire: {}}]").given.needs == frozenset()


def test_tokens_that_are_said_have_to_be_heard():
    """A report whose tokens the story tells is not made without them; the ordinary one may be."""
    said, plain = program("[{record: {key: k1, tokens: 5}}, {record: {key: k1}}]").setup
    assert (said.exact, plain.exact) == (True, False)


# -- expecting

TWO = "given regular=key-1,key-2 vertex=vertex-1\n"
READ = 'then_0_status = status() -> {"valid_keys": {"key-1": 1}, "invalid_keys": {"key-2": 3}}\n'
EXPECTED = [
    ("{equals: {a: key-1}}", "a = acquire() -> key-1", "a = acquire() -> key-2"),
    ("{equals: {a: true}}", "a = record(lease=key-1) -> True", "a = record(lease=key-1) -> 1"),
    ("{equals: {a: nothing}}", 'a = acquire() -> ""', "a = acquire() -> None"),
    ("{equals: {a: sentinel}}", 'a = acquire() -> ""', "a = acquire() -> key-1"),
    (
        "{equals: {a: nothing}}",
        "policy exhaustion=typed-error\na = acquire() -> raises typed Gone",
        'policy exhaustion=typed-error\na = acquire() -> ""',
    ),
    (
        "{equals: {a: nothing}}",
        "policy exhaustion=fallback\na = acquire() -> key-2",
        'policy exhaustion=fallback\na = acquire() -> ""',
    ),
    ("{equals: {a: nothing}}", 'policy exhaustion=blocks\na = acquire() -> ""', "a = acquire() -> key-1"),
    (
        "{equals: {a: {valid_keys: {key-1: 0}, invalid_keys: {}}}}",
        'a = status() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}',
        'a = status() -> {"valid_keys": {"key-1": False}, "invalid_keys": {}}',
    ),
    ("{one_of: {a: [key-1, nothing]}}", 'a = acquire() -> ""', "a = acquire() -> key-2"),
    ("{not_in: {a: [key-1, nothing]}}", "a = acquire() -> key-2", 'a = acquire() -> ""'),
    (
        "{distinct: [a, b]}",
        "a = acquire() -> key-1\nb = acquire() -> key-2",
        "a = acquire() -> key-1\nb = acquire() -> key-1",
    ),
    (
        "{distinct: [a, b]}",
        "a = acquire() -> key-1\nb = acquire() -> key-2",
        'a = acquire() -> key-1\nb = acquire() -> ""',
    ),
    (
        "{permutation_of: {answers: [a, b], keys: [key-1, key-2]}}",
        "a = acquire() -> key-2\nb = acquire() -> key-1",
        "a = acquire() -> key-2\nb = acquire() -> key-2",
    ),
    ("{in_pool: {a: regular}}", "a = acquire() -> key-2", "a = acquire() -> vertex-1"),
    (
        "{usage: {key: key-1, rpm: 2, tpm: 7}}",
        'then_0_usage = usage(key=key-1) -> {"rpm": 2}',
        'then_0_usage = usage(key=key-1) -> {"rpm": 2, "tpm": 8}',
    ),
    (
        "{usage: {key: key-1, rpm: 0}}",
        "then_0_usage = usage(key=key-1) -> None",
        'then_0_usage = usage(key=key-1) -> {"rpm": 1}',
    ),
    ("{state_of: {key: key-1, valid: true, failures: 1}}", READ, READ.replace('"key-1": 1', '"key-1": 2')),
    ("{state_of: {key: key-2, valid: false}}", READ, READ.replace("invalid", "none").replace("valid", "invalid")),
    (
        "{state_of: {key: key-1, valid: true}}",
        "then_0_is_valid = is_valid(key=key-1) -> True",
        "then_0_is_valid = is_valid(key=key-1) -> False",
    ),
    (
        "{state_of: {key: key-1, failures: 2}}",
        "then_0_failures = failures(key=key-1) -> 2",
        "then_0_failures = failures(key=key-1) -> 3",
    ),
    ("{raises: never}", "acquire() -> key-1", "acquire() -> raises typed Gone"),
    (
        "{raises: {a: never}}",
        "acquire() -> raises typed Gone\na = acquire() -> key-1",
        "a = acquire() -> raises typed Gone",
    ),
    ("{raises: typed}", "acquire() -> raises typed Gone", "acquire() -> raises KeyError"),
    ("{within: {a: 4}}", "a = acquire() -> key-1 after 4", "a = acquire() -> key-1 after 5"),
    (
        "{unchanged_since: {b: a}}",
        'a = status() -> {"valid_keys": {}}\nb = status() -> {"valid_keys": {}}',
        'a = status() -> {"valid_keys": {}}\nb = status() -> {"valid_keys": {"key-1": 0}}',
    ),
    (
        "{keeps: [ACQ04]}",
        "acquire(model=m1, pool=vertex) -> vertex-1",
        "acquire(model=m1, pool=vertex) -> key-1",
    ),
]


def judged(expectation, text):
    """Judge a history in the notation by one expectation on the answers a and b."""
    history, policies = history_of(TWO + text)
    when = "[{acquire: {as: a}}, {acquire: {as: b}}]"
    told = story(when, then=f"[{expectation}]", given="{regular: [key-1, key-2], vertex: [vertex-1]}")
    kind = rule_of(told, "story", source="story.yaml", catalogue=CATALOGUE)
    return judge_of(kind(policies, EVERYTHING))(history)


@pytest.mark.parametrize("expectation, holds, broken", EXPECTED, ids=[one for one, *_ in EXPECTED])
def test_an_expectation_tells_what_holds_from_what_does_not(expectation, holds, broken):
    """A history in which it holds passes, one in which it does not is a violation that says what was expected."""
    assert judged(expectation, holds) is None
    found = judged(expectation, broken)
    assert isinstance(found, Violation)
    assert found.expected
    assert not re.search(r"\d", found.signature.replace("key-1", "").replace("key-2", ""))


def test_a_key_in_a_log_breaks_what_keeps_logs_free():
    """A key that was logged is a breach where the log is to be free of keys, and only there."""
    history, policies = history_of(TWO + "acquire() -> key-1")
    noise = (Noise(NoiseKind.LOGGED, "key-1 in a record"),)
    for then, breach in (("{log_free_of_keys: true}", True), ("{raises: never}", False)):
        kind = rule_of(story("[{acquire: {}}]", then=f"[{then}]"), "s", source="s", catalogue=CATALOGUE)
        heard = History(given=history.given, operations=history.operations, noise=noise)
        assert isinstance(judge_of(kind(policies, EVERYTHING))(heard), Violation) is breach


def test_what_nobody_declared_breaks_every_scenario():
    """An accident, a deadlock and a call that never ends are breaches, whatever is expected."""
    assert isinstance(judged("{not_in: {b: [key-1]}}", "a = acquire() -> raises KeyError"), Violation)
    assert isinstance(judged("{raises: typed}", "| a = acquire() -> pending"), Violation)


def test_a_pool_that_cannot_be_opened_is_a_breach_where_no_error_is_expected():
    """A typed refusal to open is a breach of `raises: never`; for a story about something else it is no verdict."""
    refused = "open() -> raises typed NoKeys"
    assert isinstance(judged("{raises: never}", refused), Violation)
    assert not isinstance(judged("{equals: {a: key-1}}", refused), Violation)


def test_a_step_that_had_nothing_to_act_on_is_no_pass():
    """A story whose key was never answered was not told."""
    assert isinstance(judged("{raises: typed}", "a = acquire() -> key-1\nrecord(lease=key-2) -> skipped"), Unjudged)


# -- the files


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


# -- saving


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
