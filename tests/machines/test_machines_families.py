"""Each family's machine finds a bug of its family, and accuses no sound manager."""

import unittest

import planted
import pytest
import twins
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import rule, run_state_machine_as_test
from twins import choosing, declared, leases, recovering, shapes

from pytest_keyconform import machines
from pytest_keyconform.machines import JudgedMachine, KeyManagerMachine, ProgramMachine
from pytest_keyconform.machines.judged import Opened

FAMILIES = [
    kind
    for name in machines.__all__
    if isinstance(kind := getattr(machines, name), type) and kind not in (JudgedMachine, ProgramMachine)
]
BUGS = {
    "AcquireMachine": "ServesRedactedText",
    "QuotaMachine": "DateInTheUsage",
    "ExhaustionMachine": "DryUntilTheMinuteEnds",
    "UnknownMachine": "ResetAlwaysSucceeds",
    "FailureMachine": "SameKeyAgain",
    "VertexMachine": "VertexNeedsAModel",
    "FormatsMachine": "StatusOfBothPools",
    "LifecycleMachine": "StillServes",
    "TimeMachine": "MarksStay",
    "LivenessMachine": "TaskFailsUnseen",
    "DurabilityMachine": "KeptInMemory",
    "KeyManagerMachine": "AllKeysAsAList",
}
SOUND = (
    twins.RichManager,
    twins.PoorManager,
    choosing.CountedOnAcquire,
    declared.RejectsUnknownModels,
    declared.RefusesUnknownKeys,
    declared.ErrorsAreFree,
    leases.LeaseDesk,
    recovering.Bucket,
    recovering.StrikesHeal,
    shapes.VersionOne,
    shapes.ThreadSafe,
    twins.AsyncSqliteManager,
)


def run(machine, *, examples=40, **attributes):
    """Run a machine against a target, always the same programs."""
    kind = seed(1)(type(machine.__name__, (machine,), attributes))
    profile = settings(
        max_examples=examples,
        stateful_step_count=20,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(kind, settings=profile)


def target_of(factory):
    """Answer the target string of a factory of the planted bugs or of the twins."""
    return f"{factory.__module__}:{factory.__name__}"


@pytest.mark.parametrize("machine", FAMILIES, ids=lambda machine: machine.__name__)
def test_a_planted_bug_is_found(machine):
    """A bug that is planted for an invariant of the family is found, and its id is told."""
    mutant = next(one for one in planted.MUTANTS if one.name == BUGS[machine.__name__])
    assert mutant.id.rstrip("0123456789") in (machine.families or ("FMT",))
    with pytest.raises(AssertionError, match=f"^{mutant.id} violated"):
        run(machine, target=mutant.target, ids=(mutant.id,))


@pytest.mark.parametrize("machine", FAMILIES, ids=lambda machine: machine.__name__)
def test_the_reference_passes(machine):
    """The reference is accused by no machine; where none of a family's invariants applies to it, it is skipped."""
    lasting = machine.__name__ == "DurabilityMachine"
    if lasting:
        with pytest.raises(unittest.SkipTest, match="does not have what these invariants are about: DUR01"):
            run(machine, examples=5, target="reference")
    else:
        run(machine, examples=15, target="reference")


@pytest.mark.parametrize("sound", SOUND, ids=lambda sound: sound.__name__)
def test_no_sound_manager_is_accused(sound):
    """Generated programs accuse no sound manager, whatever policies it declares."""
    advisory = ("ACQ13", "DUR05", "LIFE15", "UNK09")  # what most leave undone
    for machine in FAMILIES:
        judging = tuple(kind.id for kind in machine.wanted() if kind.id not in advisory)
        try:
            run(machine, examples=4, target=target_of(sound), ids=judging)
        except unittest.SkipTest:
            continue


def test_rules_and_looks_of_a_subclass():
    """A subclass adds rules and looks at each history: what it asserts fails the test."""
    heard = []

    class Own(KeyManagerMachine):
        target, families = "reference", ("FMT",)
        models = ("m1",)

        @rule()
        def busy(self):
            self.do("record", lease="key-1", model="m1", tokens=7)
            self.do("record", lease="key-1", model="m1", tokens=8, never_claimed=True)

        def look(self, history):
            recorded = [operation.invocation for operation in history.named("record")]
            assert {call.get("model") for call in recorded} <= {"m1"}
            assert not any(call.get("tokens") == 8 for call in recorded)
            heard.extend(call.get("tokens") for call in recorded)
            assert 7 not in heard, "somebody was busy"

    with pytest.raises(AssertionError, match="somebody was busy"):
        run(Own)


def test_a_call_that_never_ends_is_told(tmp_path, monkeypatch):
    """A program that does not end within the time-out fails, and says so."""
    (tmp_path / "endless.py").write_text(
        "class Keys:\n"
        "    def __init__(self, api_keys): self.keys, self.asked = list(api_keys), 0\n"
        "    def get_key(self, model_name=None, is_vertex_key=False):\n"
        "        self.asked += 1\n"
        "        while self.asked > 1: pass\n"
        "        return self.keys[0]\n"
        "    def get_keys_by_status(self): return {'valid_keys': {}, 'invalid_keys': {}}\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=r"a call did not end within 0.5 s of real time"):
        run(machines.AcquireMachine, target="endless:Keys", ids=("ACQ10",), timeout=0.5)


def test_there_is_a_machine_for_each_family():
    """Every family that is about what a caller does has its machine, and every machine has a bug here."""
    families = {family for machine in FAMILIES for family in machine.families}
    assert families == {"ACQ", "QUO", "EXH", "UNK", "FAIL", "VTX", "FMT", "LIFE", "TIME", "LIVE", "DUR"}
    assert set(BUGS) == {machine.__name__ for machine in FAMILIES}


def test_a_source_of_limits_is_left_to_a_whole_run():
    """A machine serves no source, so that it judges nothing that is about one."""
    assert "SRC02" in {kind.id for kind in KeyManagerMachine.wanted()}
    opened = Opened.of("keyconform_reference:make_manager", KeyManagerMachine.wanted(), seed=0)
    assert [rule.id for rule in opened.rules if rule.sourced] == []
