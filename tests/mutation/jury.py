"""Judging the reference, whole or with one change, in a forked process that has a bound."""

from __future__ import annotations

import importlib.abc
import importlib.util
import multiprocessing
import os
import sys
from pathlib import Path

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.errors import UsageError
from pytest_keyconform.spec.settings import Settings, TargetSetting

FOLDER = Path(__file__).parent
PACKAGE = FOLDER.parents[1] / "reference_impl" / "keyconform_reference"
KINDS = ("usual", "leased", "other", "strict", "daily")
LAST = ("COST02", "LIVE02", "LIVE03")  # take as long as all others
FAILING = ("violated", "inconclusive")


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a source of its own."""

    def __init__(self, name, path, source):
        self.name, self.path, self.source = name, path, source

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.source, str(self.path), "exec"), vars(module))  # noqa: S102 - that is what a mutant is


def sources():
    """Answer the source of each module of the reference that decides something."""
    return {
        str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in ("__init__.py", "errors.py", "protocol.py")
    }


def ids_of(kind):
    """Answer the ids that a kind of the reference, as it stands, conforms to; the quick ones first."""
    reports = [report for report in _reports(kind, None) if report.status == "conforms"]
    return sorted((one.id for one in reports), key=lambda name: name in LAST)


def verdict(mutant, source, ids):
    """Answer what catches a mutant, as a kind and an id; None: nothing does."""
    module = "keyconform_reference." + mutant.file.removesuffix(".py").replace("/", ".")
    for name in [name for name in sys.modules if name.partition(".")[0] == "keyconform_reference"]:
        del sys.modules[name]  # imported before, without the change
    sys.meta_path.insert(0, Mutated(module, PACKAGE / mutant.file, mutant.applied(source)))
    for kind in KINDS:
        try:
            caught = next((one.id for one in _reports(kind, ids[kind]) if one.status in FAILING), None)
        except UsageError:
            caught = "opening"
        except Exception as error:  # noqa: BLE001 - one that cannot be imported is caught too
            caught = type(error).__name__
        if caught:
            return [kind, caught]
    return None


def _reports(kind, ids):
    setting = TargetSetting(name=kind, target=f"kinds:{kind}", asked=f"kinds:{kind}")
    settings = Settings(targets=(setting,), search=(FOLDER,), profile="smoke", timeout=20.0)
    conformance = Conformance(settings, setting)
    conformance.start()
    for name in [one.id for one in conformance.invariants()] if ids is None else ids:
        yield conformance.judge(name)


class Job:
    """One question, answered in a process of its own; ``None`` of ``answer`` says that it is not there yet."""

    def __init__(self, ask, *arguments):
        context = multiprocessing.get_context("fork")
        self._ours, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_answer, args=(theirs, ask, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def answer(self, seconds):
        """Wait so long for it: a list with the answer, or None."""
        if not self._ours.poll(seconds):
            return None
        try:
            return [self._ours.recv()]
        except EOFError:
            return [["process", "died"]]

    def end(self):
        """End the process."""
        self._process.kill()
        self._process.join()
        self._ours.close()


def _answer(pipe, ask, *arguments):
    """Answer a question; what the backend prints and logs goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    pipe.send(ask(*arguments))
