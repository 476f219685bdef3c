"""The bugs between awaits, planted in managers that need a real event loop: every second one over sockets."""

from __future__ import annotations

from managers.remote import InAThread, OverSockets

from planted import acquire, failures, formats, liveness, mixing, quota, recovery, serving
from planted.registry import planted

OVERLAPPING = ("ACQ01", "ACQ02", "ACQ05", "QUO01", "FAIL03", "FAIL13", "FMT05", "LIVE01", "LIVE02", "LIVE03", "LIVE04")


def _remote():
    every = (acquire, serving, quota, failures, recovery, mixing, formats, liveness)
    found = [
        mutant for module in every for mutant in module.MUTANTS if mutant.base == "rich" and mutant.id in OVERLAPPING
    ]
    for place, mutant in enumerate(found):
        way = (OverSockets, InAThread)[place % 2]
        name = f"{mutant.name}{way.__name__}"
        globals()[name] = type(name, (way, mutant.factory), {"__module__": __name__, "__doc__": mutant.factory.__doc__})
        yield planted(mutant.id, globals()[name])


MUTANTS = tuple(_remote())
