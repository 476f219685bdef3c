"""A service and the requests that go to it: each once, several at a time, and what is no answer is said."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_keyconform.adapters.http import Http
from pytest_keyconform.adapters.wire import Dialogue
from pytest_keyconform.errors import TargetError, WireError
from pytest_keyconform.spec.pool import Pool


class Service(ThreadingHTTPServer):
    """A service that answers as its ``behaviour`` says: a function of the handler and the request."""

    daemon_threads = True

    def __init__(self, behaviour):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour
        self.connections = 0
        self.paths = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections += 1

    def do_POST(self):
        self.server.paths.append(self.path)
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request["op"] == "hello":
            self.tell({"seq": request["seq"], "ok": {"protocol": 1, "operations": ["acquire"]}})
        elif request["op"] in ("open", "close"):
            self.tell({"seq": request["seq"], "ok": None})
        else:
            self.server.behaviour(self, request)

    def tell(self, answer, status=200):
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    """Run services on this machine, and end them."""
    services = []

    def make(behaviour):
        service = Service(behaviour)
        threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01}).start()
        services.append(service)
        return service

    yield make
    for service in services:
        service.shutdown()
        service.server_close()


def talk(service, path=""):
    address = f"http://127.0.0.1:{service.server_port}{path}"
    return Dialogue(Http(address), address)


async def acquired(dialogue, *models):
    await dialogue.open(Pool())
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(dialogue.ask("acquire", model=one, pool="regular") for one in models))
    await dialogue.close()
    return answers


def test_requests_overlap_on_connections_that_are_kept(serve):
    """Two requests are under way at once; what is connected serves the next ones too, on another loop."""
    both = threading.Barrier(2, timeout=10)

    def behaviour(handler, request):
        both.wait()
        handler.tell({"seq": request["seq"], "ok": request["model"]})

    service = serve(behaviour)
    dialogue = talk(service)
    for _ in range(3):
        assert asyncio.run(acquired(dialogue, "a", "b")) == ["a", "b"]
    dialogue.line.end()
    assert service.connections == 2
    assert set(service.paths) == {"/keyconform/v1"}


def test_a_service_may_have_its_route_elsewhere(serve):
    """A path in the target is the one that is asked."""
    service = serve(lambda handler, request: handler.tell({"seq": request["seq"], "ok": "a key"}))
    dialogue = talk(service, "/deep/down")
    asyncio.run(acquired(dialogue, "m1"))
    dialogue.line.end()
    assert set(service.paths) == {"/deep/down"}


def in_pieces(handler, request):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for piece in (f'{{"seq": {request["seq"]}, ', '"ok": "a key"}', ""):
        handler.wfile.write(f"{len(piece):x}\r\n{piece}\r\n".encode())


def and_close(handler, request):
    handler.close_connection = True
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(f'{{"seq": {request["seq"]}, "ok": "a key"}}'.encode())


@pytest.mark.parametrize("behaviour", [in_pieces, and_close])
def test_an_answer_may_come_in_pieces_or_end_with_the_connection(serve, behaviour):
    """What HTTP allows is understood."""
    dialogue = talk(serve(behaviour))
    assert asyncio.run(acquired(dialogue, "m1")) == ["a key"]
    dialogue.line.end()


def broken_off(handler, _):
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


@pytest.mark.parametrize(
    "behaviour, says",
    [
        (broken_off, r"acquire: 127\.0\.0\.1:\d+ broke off"),
        (lambda handler, _: handler.tell(b"oh no", 500), r"answered status 500 to a POST to /keyconform/v1: oh no"),
        (lambda handler, _: handler.tell(b"fine"), r"expected a line of JSON, found 'fine'"),
        (lambda handler, _: handler.tell({"seq": 0, "ok": 1}), r"expected an answer to seq 3, found one to seq 0"),
        (lambda handler, _: handler.tell([]), r"expected an object as the answer, found \[\]"),
    ],
)
def test_what_is_no_answer_is_said_and_asked_once(serve, behaviour, says):
    """The caller is told what came, and no request is sent twice."""
    service = serve(behaviour)
    dialogue = talk(service)
    with pytest.raises(WireError, match=says):
        asyncio.run(acquired(dialogue, "m1"))
    dialogue.line.end()
    assert len(service.paths) == 3, "hello, open, acquire"


def test_nobody_at_the_address_is_said(serve):
    """A service that is not there is a target that cannot be used."""
    service = serve(None)
    service.shutdown()
    service.server_close()
    with pytest.raises(TargetError, match=r"nobody takes connections at 127\.0\.0\.1:\d+: Connection refused"):
        _ = talk(service).hello
