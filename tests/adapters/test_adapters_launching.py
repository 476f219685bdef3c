"""A service that a target's table starts: waited for until it is ready, and ended with all that it started."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import pytest

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.errors import TargetError

SERVICE = """
    import http.server, json, os, sys

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.tell(200 if self.path == "/ready" else 404, {})

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            ok = {"protocol": 1, "operations": ["acquire"]} if asked["op"] == "hello" else None
            self.tell(200, {"seq": asked["seq"], "ok": ok})

        def tell(self, status, answer):
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    open("pid", "w").write(str(os.getpid()))
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def launch(tmp_path):
    """Resolve a target whose table starts such a service; what was started is ended."""
    (tmp_path / "service.py").write_text(textwrap.dedent(SERVICE), encoding="utf-8")
    targets = []

    def launched(**table):
        start = [sys.executable, "service.py", "{port}"]
        table = {"target": "http://127.0.0.1:{port}", "start": start, "stop_timeout": 5, **table}
        targets.append(resolve("theirs", roots=[tmp_path], targets={"theirs": table}))
        return targets[-1]

    yield launched
    for target in targets:
        target.dialogue.end()


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    "ready", [None, "http://127.0.0.1:{port}/ready", [sys.executable, "-c", "import os; os.stat('pid')"]]
)
def test_a_service_is_started_waited_for_and_ended(launch, tmp_path, ready):
    """By its address, a URL or a command; on a port that is free."""
    target = launch(ready=ready)
    assert list(target.dialogue.hello.operations) == ["acquire"]
    pid = int((tmp_path / "pid").read_text())
    assert is_running(pid)
    target.dialogue.end()
    assert not is_running(pid)


def test_a_service_is_stopped_by_its_own_command(launch, tmp_path):
    """What has to be done at the end is done, in the folder that the service was started in."""
    launch(stop=[sys.executable, "-c", "open('stopped', 'w').close()"]).dialogue.end()
    assert (tmp_path / "stopped").exists()


@pytest.mark.parametrize(
    "table, says",
    [
        (
            {"start": [sys.executable, "-c", "raise SystemExit('no room')"]},
            r"ended with exit status 1; it said:\n  no room",
        ),
        ({"start": "no-such-program"}, r"'no-such-program' cannot be started: No such file"),
        ({"ready": "http://127.0.0.1:{port}/other", "start_timeout": 0.5}, r"was not ready within 0\.5 s"),
        ({"ready": "no-such-program", "start_timeout": 0.5}, r"was not ready within 0\.5 s"),
    ],
)
def test_a_service_that_does_not_get_ready_is_no_target(launch, tmp_path, table, says):
    """The refusal says what happened and what the service said, and nothing is left running."""
    with pytest.raises(TargetError, match=says):
        launch(**table)
    told = Path(tmp_path / "pid")
    assert not told.exists() or not is_running(int(told.read_text()))
