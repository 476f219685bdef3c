"""How a key stands: what the views say of it, whether it is served all the same, and what a failure report answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_keyconform.catalogue.invariant import Moment
from pytest_keyconform.catalogue.serving import unusable_served
from pytest_keyconform.catalogue.steps import acquire, fail, step
from pytest_keyconform.model.state import Bounds, Tri
from pytest_keyconform.operation import Answered, Operation, Raised, replaced
from pytest_keyconform.workload import DEFAULT_MODEL, Given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.catalogue.invariant import Invariant, Refusal
    from pytest_keyconform.workload import Step
