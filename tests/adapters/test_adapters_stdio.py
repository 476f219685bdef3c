"""A child process and the lines that go to it and come back: what is no answer is said, and nothing is left running."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap

import pytest

from pytest_keyconform.adapters.keys import canary
from pytest_keyconform.adapters.stdio import Stdio
from pytest_keyconform.adapters.wire import Dialogue, drive
from pytest_keyconform.errors import TargetError, Unsupported, WireError
from pytest_keyconform.spec.pool import Pool

BEGIN = """
    import json, os, sys, time

    def tell(**answer):
        print(json.dumps(answer), flush=True)

    HELLO = {"protocol": 1, "operations": ["acquire", "close"]}

    for line in sys.stdin:
        asked = json.loads(line)
        seq, op = asked["seq"], asked["op"]
        if op == "hello":
            tell(seq=seq, ok=HELLO)
        elif op in ("open", "close"):
            tell(seq=seq, ok=None)
"""


def child(tmp_path, acquire='tell(seq=seq, ok="a key")', begin=BEGIN):
    """Answer a line to a child that does this when it is asked for a key."""
    script = textwrap.dedent(begin) + "    else:\n" + textwrap.indent(textwrap.dedent(acquire), " " * 8)
    path = tmp_path / "backend.py"
    path.write_text(script, encoding="utf-8")
    return Stdio(f"{sys.executable} {path}", folder=tmp_path)


@pytest.fixture
def talk(tmp_path):
    """Make conversations with children, which are ended."""
    lines = []

    def make(*arguments, **named):
        lines.append(child(tmp_path, *arguments, **named))
        return Dialogue(lines[-1], "stdio:backend.py")

    yield make
    for line in lines:
        line.end()


async def acquired(dialogue):
    await dialogue.open(Pool(api_keys=("a key",)))
    return await asyncio.wait_for(dialogue.ask("acquire", model="m1", pool="regular"), 20)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_serves_one_event_loop_after_another(talk):
    """The conversation outlives the loop that it was begun on: an execution has a loop of its own."""
    dialogue = talk("tell(seq=seq, ok=str(os.getpid()))")
    answers = {asyncio.run(acquired(dialogue)) for _ in range(2)}
    assert len(answers) == 2, "an opening without a closing before it begins anew"

    async def whole():
        answer = await acquired(dialogue)
        await dialogue.close()
        return answer

    assert len({asyncio.run(whole()) for _ in range(3)}) == 1


def test_answers_may_come_in_any_order(talk):
    """Two requests are under way at once, and each gets its own answer."""
    dialogue = talk(
        """
        held = globals().setdefault("held", [])
        held.append(asked)
        if len(held) == 2:
            for one in reversed(held):
                tell(seq=one["seq"], ok=one["model"])
        """
    )

    async def both():
        await dialogue.open(Pool())
        return await asyncio.gather(*(dialogue.ask("acquire", model=model, pool="regular") for model in "ab"))

    assert asyncio.run(both()) == ["a", "b"]


def test_what_a_pipe_does_not_hold_is_sent_as_it_is_read(talk):
    """A megabyte goes there and comes back whole, on a loop and without one."""
    dialogue = talk('tell(seq=seq, ok=asked["model"])')
    name = "ü" * (1 << 20)

    async def asked():
        await dialogue.open(Pool())
        return await dialogue.ask("acquire", model=name, pool="regular")

    assert asyncio.run(asked()) == name
    drive(asked())


@pytest.mark.parametrize(
    "does, says",
    [
        ("sys.exit(3)", r"acquire: the process ended \(exit status 3\)"),
        ("os.kill(os.getpid(), 9)", r"acquire: the process ended \(SIGKILL\)"),
        ('print("soon", file=sys.stderr); sys.exit(1)', r"it said:\n  soon"),
        ('print(f"serving {canary}", flush=True)', r"expected a line of JSON, found 'serving <key>'"),
        ("print(float('nan'), flush=True)", r"expected a line of JSON, found 'nan'"),
        ("print('[' * 100_000, flush=True)", r"expected a line of JSON"),
        ("tell(seq=0, ok=1)", r"expected an answer with the seq of a request"),
        ("tell(ok=1)", r"expected an answer with the seq of a request"),
        ("tell(seq=seq, ok=1); tell(seq=seq, ok=1); time.sleep(60)", r"."),
        ("tell(seq=seq, fine=1)", r"expected ok, error or unsupported in the answer, found 'seq', 'fine'"),
        ("tell(seq=seq, error='no')", r"the error in its answer cannot be used"),
        ("os.close(1); time.sleep(60)", r"it closed its output and goes on"),
    ],
)
def test_what_is_no_answer_is_said(talk, does, says):
    """Whatever comes instead of an answer, the caller is told what it was, and without a key."""
    dialogue = talk(f"canary = {canary('key-1')!r}\n{does}")

    async def twice():
        await acquired(dialogue)
        return await dialogue.ask("acquire", model="m1", pool="regular")

    with pytest.raises(WireError, match=says):
        asyncio.run(twice())


def test_after_what_is_no_answer_the_conversation_begins_anew(talk):
    """A process that broke off is followed by a fresh one."""
    dialogue = talk('sys.exit(3) if asked["model"] == "bad" else tell(seq=seq, ok=str(os.getpid()))')

    async def asked():
        await dialogue.open(Pool())
        with pytest.raises(WireError):
            await dialogue.ask("acquire", model="bad", pool="regular")
        await dialogue.open(Pool())
        return await dialogue.ask("acquire", model="good", pool="regular")

    assert asyncio.run(asked()).isdigit()


def test_a_request_that_is_given_up_ends_the_whole_process_group(talk, tmp_path):
    """Nothing that hangs is left behind, nor what it started."""
    dialogue = talk(
        """
        import subprocess
        other = subprocess.Popen(["sleep", "60"])
        open("pids", "w").write(f"{os.getpid()} {other.pid}")
        os.rename("pids", "told")
        time.sleep(60)
        """
    )

    async def hanging():
        await dialogue.open(Pool())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await dialogue.ask("acquire", model="m1", pool="regular")

    asyncio.run(hanging())
    leader, other = map(int, (tmp_path / "told").read_text().split())
    assert not is_running(leader)
    with open(f"/proc/{other}/stat", "rb") if is_running(other) else open(os.devnull, "rb") as stat:  # noqa: PTH123
        assert stat.read().partition(b") ")[2][:1] in (b"", b"Z"), "ended, though nobody has asked how"


def test_an_error_is_raised_as_it_was_told(talk):
    """Its class has the name that was told, and a typed one comes from the backend's own package."""
    dialogue = talk(
        """
        kinds = {"typed": ("NoKeyLeft", True), "untyped": ("TypeError", False), "strange": ("a b\\0ü", False)}
        name, typed = kinds[asked["model"]]
        tell(seq=seq, error={"type": name, "message": "why", "typed": typed})
        """
    )
    dialogue.hello.operations.append("record")

    async def failing(model):
        await dialogue.open(Pool())
        try:
            await dialogue.ask("acquire", model=model, pool="regular")
        except Exception as error:  # noqa: BLE001 - whatever its class
            return type(error).__name__, type(error).__module__, str(error)
        finally:
            await dialogue.close()

    assert asyncio.run(failing("typed")) == ("NoKeyLeft", "backend", "why")
    assert asyncio.run(failing("untyped")) == ("TypeError", "builtins", "why")
    assert asyncio.run(failing("strange"))[0] == "a b??"


def test_what_json_cannot_carry_is_not_sent(talk):
    """A lone surrogate, a number that is none and an object are not claimed; the conversation goes on."""
    dialogue = talk()

    async def asked():
        await dialogue.open(Pool())
        for model in ("\ud800", float("nan"), {1: 2}, object(), ["x", float("inf")]):
            with pytest.raises(Unsupported, match="JSON cannot carry"):
                await dialogue.ask("acquire", model=model, pool="regular")
        return await dialogue.ask("acquire", model="m1", pool="regular")

    assert asyncio.run(asked()) == "a key"


@pytest.mark.parametrize(
    "hello, says",
    [
        ('{"protocol": 2, "operations": []}', r"its hello cannot be used: protocol: Input should be 1"),
        ('{"protocol": 1}', r"its hello cannot be used: operations: Field required"),
        ('{"protocol": 1, "operations": ["aquire"]}', r"'aquire', which is no operation, did you mean 'acquire'"),
        (
            '{"protocol": 1, "operations": {"acquire": ["modell"]}}',
            r"'modell' is no parameter of acquire, did you mean",
        ),
    ],
)
def test_a_hello_that_cannot_be_used_is_refused(talk, hello, says):
    """The target is refused before anything is judged, with what is wrong about its hello."""
    begin = BEGIN.replace('{"protocol": 1, "operations": ["acquire", "close"]}', hello)
    with pytest.raises(TargetError, match=says):
        _ = talk(begin=begin).hello


def test_a_process_that_never_says_hello_is_given_up(talk, monkeypatch):
    """Nobody waits for ever, and what it said on standard error is shown."""
    monkeypatch.setattr("pytest_keyconform.adapters.stdio.PATIENCE", 0.5)
    begin = """
        import sys, time
        print("thinking", file=sys.stderr, flush=True)
        while not time.sleep(60):
            if sys:
                pass
    """
    with pytest.raises(TargetError, match=r"nothing was heard for (.|\n)*thinking"):
        _ = talk(begin=begin).hello


def test_keys_of_providers_are_not_handed_on(tmp_path):
    """What is judged gets keys made for it, and none of the environment's."""
    script = tmp_path / "backend.py"
    script.write_text("import os, sys\nsys.exit(','.join(sorted(os.environ)))", encoding="utf-8")
    environment = {**os.environ, "OPENAI_API_KEY": "x", "gemini_api_keys": "x", "KEPT": "x"}
    line = Stdio(f"{sys.executable} {script}", environment=environment)
    with pytest.raises(TargetError) as refused:
        _ = Dialogue(line, "stdio:backend.py").hello
    line.end()
    assert "KEPT" in str(refused.value)
    assert "api_key" not in str(refused.value).lower()
