"""The source of limits on the loopback: what it answers, counts and leaves behind."""

import _thread
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from pytest_keyconform.engine.sourcing.server import Source
from pytest_keyconform.limits_page import PLAIN, TIER, Published

BOUND = 5.0


@pytest.fixture
def source():
    """A source that is up."""
    with Source(Published(), deadline=5.0, now=lambda: 0.0) as source:
        yield source


def read(source):
    """Read the page, within a bound."""
    with urllib.request.urlopen(source.url, timeout=BOUND) as answer:  # noqa: S310 - a loopback
        return answer.read().decode()


def test_it_answers_the_page_and_counts_who_asked(source):
    """Each whole request counts once."""
    assert json.loads(read(source)) == {TIER: json.loads(PLAIN)}
    assert json.loads(read(source)) == {TIER: json.loads(PLAIN)}
    assert source.asked(3).told() == {"requests": 2, "warnings": 3}


def test_it_answers_otherwise_from_the_next_request_on(source):
    """A change holds when the call is back."""
    source.becomes(Published(state="empty"))
    assert read(source) == ""
    source.becomes(Published(state="500"))
    with pytest.raises(urllib.error.HTTPError, match="500") as refused:
        read(source)
    refused.value.close()
    source.becomes(Published(page='{"m1": {"RPM": 3}}'))
    assert json.loads(read(source))[TIER]["m1"] == {"RPM": 3}


def test_it_refuses_connections_while_it_is_down(source):
    """Down and up again are on one port, and nobody is counted in between."""
    source.becomes(Published(state="down"))
    with pytest.raises(urllib.error.URLError, match="refused"):
        read(source)
    source.becomes(Published())
    assert TIER in read(source)
    assert source.requests == 1


def test_one_that_begins_down_comes_up():
    """A first opening without a network is no other source than the one after it."""
    with Source(Published(state="down"), deadline=5.0, now=lambda: 0.0) as source:
        with pytest.raises(urllib.error.URLError, match="refused"):
            read(source)
        source.becomes(Published())
        assert TIER in read(source)


@pytest.mark.parametrize("state, begins", [("slow", b""), ("stuck", b"HTTP/1.1 200 OK")])
def test_it_withholds_its_answer(source, state, begins):
    """Nobody who opens waits, so the connection stays until the client leaves it."""
    source.becomes(Published(state=state))
    with socket.create_connection(("127.0.0.1", int(source.url.rsplit(":", 1)[1].split("/")[0])), BOUND) as client:
        client.sendall(b"GET /limits.json HTTP/1.1\r\nHost: here\r\n\r\n")
        client.settimeout(0.2)
        try:
            found = client.recv(100)
        except TimeoutError:
            found = b""
        assert found.startswith(begins)
        assert (b"Free" in found, source.requests) == (False, 1)


def test_half_a_request_is_none(source):
    """Who goes away in the middle of it was not answered and is not counted."""
    with socket.create_connection(("127.0.0.1", int(source.url.rsplit(":", 1)[1].split("/")[0])), BOUND) as client:
        client.sendall(b"GET /limits.json HTTP/1.1\r\n")
    assert TIER in read(source)
    assert source.requests == 1


def test_nothing_of_it_is_left(monkeypatch):
    """Its thread, its port and what it set in the environment are gone with its block."""
    monkeypatch.setenv("no_proxy", "here.test")
    monkeypatch.delenv("NO_PROXY", raising=False)
    before = _thread._count()
    with Source(Published(state="slow"), deadline=5.0, now=lambda: 0.0) as source:
        assert os.environ["no_proxy"] == "here.test,127.0.0.1"
        url = source.url
    assert (os.environ["no_proxy"], "NO_PROXY" in os.environ) == ("here.test", False)
    bound = time.monotonic() + BOUND  # the thread has said that it ends, and needs a moment to have ended
    while _thread._count() > before and time.monotonic() < bound:
        threading.Event().wait(0.001)
    assert _thread._count() <= before
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(url, timeout=BOUND)  # noqa: S310 - a loopback
