"""Drawing programs for the harness: so many, of such a length, the same ones each time."""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING

import hypothesis
from hypothesis import HealthCheck, Phase, configuration, settings
from hypothesis.stateful import run_state_machine_as_test

from pytest_keyconform.machines.program import Everyday

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.operation import Claims
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Workload


def programs(claims: Claims, policies: Policies, *, seed: int, count: int, length: int) -> tuple[Workload, ...]:
    """Generate programs for a backend: the same ones for the same arguments and the same Hypothesis."""
    drawn: list[Workload] = []

    class Collecting(Everyday):
        def finished(self, program: Workload) -> None:
            if program.setup:
                drawn.append(program)

    Collecting.policies, Collecting.claims = policies, claims
    profile = settings(
        max_examples=count,
        stateful_step_count=length,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with _home_elsewhere():
        run_state_machine_as_test(hypothesis.seed(seed)(Collecting), settings=profile)
    return tuple(drawn)


@contextlib.contextmanager
def _home_elsewhere() -> Iterator[None]:
    """Let Hypothesis keep what it writes in a folder that goes away: judging leaves no file behind."""
    before = vars(configuration).get("__hypothesis_home_directory")
    with tempfile.TemporaryDirectory(prefix="keyconform-") as home:
        configuration.set_hypothesis_home_dir(home)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)
