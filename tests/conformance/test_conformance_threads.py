"""A synchronous backend is judged in threads, and its page can be read."""

from __future__ import annotations

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.spec.settings import Settings, TargetSetting

MANAGER = """
import threading


class Manager:
    def __init__(self, api_keys):
        self.keys, self.turn, self.lock = list(api_keys), 0, threading.Lock()

    def get_next_working_key(self, model_name=None):
        {guard}
            keys = [key for key in self.keys if key]
            key = keys[self.turn % len(keys)] if keys else ""
            self.turn = self.turn + 1
            return key

    def get_keys_by_status(self):
        return {{"valid_keys": dict.fromkeys(self.keys, 0), "invalid_keys": {{}}}}
"""


def judged(folder, guard, *ids):
    """The reports of a manager with this guard, and its conformance."""
    name = f"threaded_{len(guard)}"
    (folder / f"{name}.py").write_text(MANAGER.format(guard=guard))
    setting = TargetSetting(name="m", target=f"{name}:Manager", asked="m")
    conformance = Conformance(Settings(targets=(setting,), search=(folder,), select=ids), setting)
    conformance.start()
    return {id: conformance.judge(id) for id in ids}, conformance


def test_a_race_between_threads_is_told_with_few_switches(tmp_path):
    """What clients that take turns all the time show is told by a schedule in which they rarely do."""
    reports, conformance = judged(tmp_path, "if True:", "ACQ01")
    found = reports["ACQ01"].counterexample
    assert (reports["ACQ01"].status, found.engine, found.note) == ("violated", "threads", None)
    assert found.switches <= 3  # both begin, and one goes on amid the other
    assert len(found.timeline) <= 12
    assert conformance.replay(found.replay).status == "violated"


def test_a_lock_makes_it_sound(tmp_path):
    """The same under a lock conforms, and two clients both stood at a choice."""
    reports, _ = judged(tmp_path, "with self.lock:", "ACQ01", "LIVE01", "LIVE02")
    assert {id: report.status for id, report in reports.items()} == dict.fromkeys(reports, "conforms")
    assert reports["ACQ01"].engines == ("threads",)
