"""The private Redis server, and what is said where there is none."""

import os
import select
import subprocess
import sys
from pathlib import Path

from keyconform_reference.servers import redis as servers
from pytest_keyconform.cli import main


def environment(**changed):
    """This process' environment, without a server that somebody named."""
    return {name: value for name, value in os.environ.items() if name != servers.VARIABLE} | changed


def test_where_there_is_no_server_the_target_says_what_to_install(tmp_path, monkeypatch, capsys):
    """Without a URL and without redis-server on PATH, the run ends with status 4 and the way out."""
    monkeypatch.delenv(servers.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "_private", servers.PrivateServer)
    assert main(["check", "reference-redis", "--select", "ACQ01"]) == 4
    said = capsys.readouterr().err
    assert "apt-get install redis-server" in said or "pip install 'pytest-keyconform[redis]'" in said


def test_a_private_server_ends_with_its_process_however_that_ends(redis_server):
    """A process that is killed leaves no server and no folder behind."""
    told = "from keyconform_reference.servers.redis import PrivateServer; print(PrivateServer().folder, flush=True)"
    asked = [sys.executable, "-c", f"{told}; import time; time.sleep(60)"]
    with subprocess.Popen(asked, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        folder = Path(process.stdout.readline().strip())
        assert (folder / "redis.sock").is_socket()
        process.kill()
    for _ in range(1_000):
        if not folder.exists():
            break
        select.select([], [], [], 0.01)
    assert not folder.exists()
    assert redis_server.folder.exists()


def test_a_folder_is_a_name_of_its_own(tmp_path):
    """The same folder is the same state, also by another way to it; no folder is a state that nobody finds."""
    (tmp_path / "link").symlink_to(tmp_path)
    assert servers.name_of(tmp_path) == servers.name_of(tmp_path / "link")
    assert servers.name_of(tmp_path) != servers.name_of(tmp_path / "other")
    assert servers.name_of(None) != servers.name_of(None)


def test_the_server_that_is_named_is_used(monkeypatch):
    """A URL in the environment is taken as it is, and nothing is started."""
    monkeypatch.setenv(servers.VARIABLE, "redis://elsewhere:7000/3")
    assert servers.server_url() == "redis://elsewhere:7000/3"
