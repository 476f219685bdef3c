"""`keyconform serve`: what cannot be served is refused before anybody connects."""

from __future__ import annotations

import socket

import pytest

from pytest_keyconform.cli import main


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["reference", "--store", "tape:"], "expected the URL of a store (memory:"),
        (["app:make", "--store", "memory:"], "--store and --pool are for 'keyconform serve reference'"),
        (["reference", "--stdio", "--store", "memory:"], "--store and --pool are for 'keyconform serve reference'"),
        (["reference", "--pool", "nowhere.json"], "nowhere.json: No such file or directory"),
        (["no_such_module:make"], "there is no module 'no_such_module'"),
        (["stdio:cat"], "expected ok, error or unsupported in the answer"),
    ],
)
def test_what_cannot_be_served_is_refused(arguments, says, capsys, monkeypatch, tmp_path):
    """The exit status is that of usage, and the message says what was expected."""
    monkeypatch.chdir(tmp_path)
    assert main(["serve", *arguments]) == 4
    assert says in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(capsys):
    """The message names the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "reference", "--port", str(port)]) == 4
    assert f"127.0.0.1:{port} cannot be listened at" in capsys.readouterr().err
