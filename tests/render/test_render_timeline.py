"""The page of a violated invariant."""

import textwrap

import pytest

from pytest_keyconform.execution import Moment
from pytest_keyconform.render.timeline import page, plural, replay_command
from pytest_keyconform.report import CounterexampleReport, InvariantReport, OperationReport


def operation(call, answer, client, called, returned):
    """Make an operation of a counterexample."""
    return OperationReport(
        call=call, answer=answer, client=client, phase="parallel", at=0.0, called=called, returned=returned
    )


def violated(timeline=(), operations=(), engine="tasks", note=None, **more):
    """Make a violated invariant with this timeline."""
    found = CounterexampleReport(
        operations=tuple(operations),
        schedule="r1-1",
        expected="every order of the two records gives {rpm: 2, tpm: 12}",
        observed="usage(key-1, m1) answered {rpm: 1, tpm: 5}",
        replay="QUO01:t1:r1-1",
        timeline=tuple(timeline),
        switches=1,
        found_after=5,
        engine=engine,
        note=note,
    )
    fields = {"engines": ("tasks",), "seconds": 0.003, "counterexample": found, **more}
    return InvariantReport(
        id="QUO01", family="QUO", title="n records add n requests", level="must", status="violated", **fields
    )


def body(result, **options):
    """Answer the numbered rows of a page, with their heading."""
    return page(result, asked="app:make", **options).split("\n\n")[1]


def test_the_whole_page():
    """The page has the promise, the sizes, the replay command, a column for each client, and what came of it."""
    result = violated(
        [
            Moment(0, "call", "reset_usage()"),
            Moment(0, "return", "None"),
            Moment(1, "call", "record(key-1, tokens=5)"),
            Moment(1, "suspend", "seen = await row()", "keys.py:88"),
            Moment(2, "call", "record(key-1, tokens=7)"),
            Moment(2, "return", "True"),
            Moment(1, "suspend", "await put(seen)", "keys.py:90"),
            Moment(1, "return", "True"),
            Moment(0, "call", "usage(key-1)"),
            Moment(0, "return", "{rpm: 1, tpm: 5}"),
        ],
        [operation("open()", "None", 0, 0, 1), operation("record(key-1, tokens=5)", "True", 1, 2, 5)],
    )
    assert page(result, asked="app:make", width=90) == textwrap.dedent(
        """\
        QUO01 violated: n records add n requests
          1 operation, 1 switch, found in 5 executions on tasks (3 ms)
          replay: pytest --keyconform=app:make --keyconform-replay=QUO01:t1:r1-1

          1  reset_usage() → None
             task A                                    task B
          2  record(key-1, tokens=5) …
          3    keys.py:88  seen = await row()
          4                                            record(key-1, tokens=7) → True
          5    keys.py:90  await put(seen) → True
          6  usage(key-1) → {rpm: 1, tpm: 5}

          observed: usage(key-1, m1) answered {rpm: 1, tpm: 5}
          expected: every order of the two records gives {rpm: 2, tpm: 12}"""
    )


def test_a_sequential_page_has_no_columns():
    """Calls one after the other are numbered lines."""
    result = violated([Moment(0, "call", "acquire()"), Moment(0, "return", "key-1")])
    assert body(result) == "  1  acquire() → key-1"


def test_a_late_answer_has_its_own_row():
    """An answer that comes after another client's row is not put before it."""
    moments = [
        Moment(1, "call", "acquire()"),
        Moment(2, "call", "acquire()"),
        Moment(1, "return", "key-1"),
        Moment(2, "return", "key-1"),
    ]
    assert body(violated(moments), width=65).splitlines() == [
        "     task A                        task B",
        "  1  acquire() …",
        "  2                                acquire() …",
        "  3    → key-1",
        "  4                                  → key-1",
    ]


def test_an_untraced_execution_is_told_from_its_operations():
    """Without a timeline the rows come from the operations, in the order of calls and returns."""
    operations = [operation("acquire()", "key-1", 1, 0, 2), operation("acquire()", None, 2, 1, None)]
    assert body(violated((), operations), width=65).splitlines()[1:] == [
        "  1  acquire() …",
        "  2                                acquire() …",
        "  3    → key-1",
    ]


def test_a_task_in_the_background_has_a_column():
    """What the backend does on its own stands in a column of its own."""
    moments = [Moment(1, "call", "acquire()"), Moment(-1, "suspend", "await tick()", "keys.py:5")]
    assert body(violated(moments), width=65).splitlines() == [
        "     task A                        background",
        "  1  acquire() …",
        "  2                                  keys.py:5  await tick()",
    ]


def test_long_texts_are_wrapped_within_their_column():
    """No line is longer than the page, and nothing is lost."""
    long = "record(" + ", ".join(f"argument_{number}=value" for number in range(12)) + ")"
    text = body(violated([Moment(1, "call", long), Moment(2, "call", long)]), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("argument_11=value") == 2


def test_the_middle_of_a_long_page_is_left_out():
    """Of very many rows the first and the last are shown, and how many are not."""
    moments = [Moment(0, "call", f"acquire({number})") for number in range(100)]
    lines = body(violated(moments)).splitlines()
    assert len(lines) == 61
    assert (lines[0], lines[30], lines[-1]) == (
        "  1  acquire(0) …",
        "     … 40 rows left out …",
        "100  acquire(99) …",
    )


def test_an_inconclusive_page_tells_why():
    """Where there is no counterexample the page has the reason and what was run."""
    result = InvariantReport(
        id="ACQ01",
        family="ACQ",
        title="no key twice",
        level="must",
        status="inconclusive",
        reason="it hangs",
        engines=("tasks",),
        executions=1,
    )
    assert page(result, asked="app:make").splitlines() == [
        "ACQ01 inconclusive: no key twice",
        "  it hangs",
        "  1 execution (tasks)",
    ]


@pytest.mark.parametrize(
    "engine, word", [("tasks", "task"), ("threads", "thread"), ("processes", "process"), ("delayed-tasks", "task")]
)
def test_a_column_is_called_after_the_engine(engine, word):
    """What was found with threads is told of threads, whatever other engines judged too."""
    assert f"{word} A" in body(violated([Moment(1, "call", "acquire()")], engine=engine, engines=("tasks", "threads")))


def test_what_may_not_show_again_says_so():
    """A reader who runs the replay and sees nothing has been told why."""
    told = page(violated([Moment(1, "call", "acquire()")], note="seen in real time"), asked="app:make")
    assert "  note: seen in real time" in told
    assert "note:" not in page(violated([Moment(1, "call", "acquire()")]), asked="app:make")


@pytest.mark.parametrize(
    "number, noun, text", [(1, "switch", "1 switch"), (2, "switch", "2 switches"), (0, "row", "0 rows")]
)
def test_plurals(number, noun, text):
    """Numbers and nouns agree."""
    assert plural(number, noun) == text


def test_the_replay_command_can_be_pasted():
    """A target that a shell would take apart is quoted."""
    assert replay_command("stdio:node a.js", "A:t1:r") == (
        "pytest '--keyconform=stdio:node a.js' --keyconform-replay=A:t1:r"
    )
