"""The Hypothesis state machines: generated programs on a key manager, for the harness and for users to subclass."""

from __future__ import annotations

from pytest_keyconform.machines.drawing import programs
from pytest_keyconform.machines.families import (
    AcquireMachine,
    DurabilityMachine,
    ExhaustionMachine,
    FailureMachine,
    FormatsMachine,
    KeyManagerMachine,
    LifecycleMachine,
    LivenessMachine,
    QuotaMachine,
    TimeMachine,
    UnknownMachine,
    VertexMachine,
)
from pytest_keyconform.machines.judged import JudgedMachine
from pytest_keyconform.machines.program import ProgramMachine, pool_given

__all__ = [
    "AcquireMachine",
    "DurabilityMachine",
    "ExhaustionMachine",
    "FailureMachine",
    "FormatsMachine",
    "JudgedMachine",
    "KeyManagerMachine",
    "LifecycleMachine",
    "LivenessMachine",
    "ProgramMachine",
    "QuotaMachine",
    "TimeMachine",
    "UnknownMachine",
    "VertexMachine",
    "pool_given",
    "programs",
]
