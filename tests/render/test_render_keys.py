"""A backend that shows its keys wherever it can, and what the reports say of it."""

import re

from pytest_keyconform.adapters.keys import canary
from pytest_keyconform.cli import main

SHOWING = """
class Showing(Exception):
    pass


class Manager:
    policies = {"exhaustion": "typed-error", "errors": (Showing,)}

    def __init__(self, api_keys):
        self.keys, self.turn = list(api_keys), 0

    def __repr__(self):
        return f"<Manager {self.keys}>"

    def get_next_working_key(self, model_name=None):
        if not self.keys:
            raise Showing(f"none of {self.keys} for <b>{model_name}</b>")
        self.turn += 1
        return self.keys[0] if self.turn % 3 else f" {self.keys[0]}"

    def handle_api_failure(self, api_key, model_name, retries):
        raise ValueError(f"{api_key} failed; \\x1b[31mall are {self.keys}\\n::error::{api_key[::-1]}")

    def get_keys_by_status(self):
        return {"valid_keys": {key: key for key in self.keys}, "invalid_keys": self}
"""
FORMATS = {"json": "json", "junit": "xml", "html": "html", "sarif": "sarif", "markdown": "md", "badge": "svg"}


def test_no_report_holds_a_key(tmp_path, monkeypatch, capsys):
    """No whole key is in any report of a backend that puts its keys into answers, errors and reprs."""
    (tmp_path / "showing.py").write_text(SHOWING, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    reports = [f"--report={form}:r.{suffix}" for form, suffix in FORMATS.items()]
    assert main(["check", "showing:Manager", "--profile=smoke", "--select=ACQ,EXH,FAIL,FMT,SEC", *reports]) == 1
    texts = {suffix: (tmp_path / f"r.{suffix}").read_text(encoding="utf-8") for suffix in FORMATS.values()}
    texts["printed"] = capsys.readouterr().out
    assert "violated" in texts["html"]
    keys = [canary(f"{kind}-{number}") for kind in ("key", "vertex", "stranger", "new") for number in range(1, 9)]
    every = re.compile("|".join(map(re.escape, keys)))
    assert {name for name, text in texts.items() if every.search(text)} == set()
    assert not any("\x1b" in text or "\n::error::" in text for text in texts.values())
