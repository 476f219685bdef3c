"""Scenarios compiled to workloads."""

import pytest

from pytest_keyconform.conformance.scenarios.compiling import compiled, variants
from pytest_keyconform.errors import UsageError
from pytest_keyconform.operation import Ref
from pytest_keyconform.spec.scenario.reading import read


def story(when, then="[{raises: typed}]", given="{}"):
    """Answer the scenario of these parts, written as YAML flows."""
    return read(f"title: t\ngiven: {given}\nwhen: {when}\nthen: {then}\n", "story.yaml")


def program(when, **more):
    """Answer the workload of a scenario."""
    return compiled(story(when, **more)).workload


def told(steps):
    """Answer steps as a reader would see them."""
    return [str(step) for step in steps]


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


def test_a_store_that_fails_is_two_steps():
    """A fault says how many touches pass and how many fail, and mending ends it; one instance meets it."""
    found = program("[{fault: {of: store, after: 1, times: 2}}, {record: {key: k1}}, {mend: }, {fault: {of: store}}]")
    assert told(found.setup)[::2] == ["fault(after=1, times=2)", "mend()"]
    assert told(found.setup)[-1] == "fault(after=0)"
    with pytest.raises(UsageError, match="expected no fault beside a crash or callers apart"):
        story("[{fault: {of: store}}, {acquire: {}}]", given="{apart: true}")
