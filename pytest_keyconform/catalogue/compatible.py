"""FMT09: the call forms of version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant
from pytest_keyconform.catalogue.steps import POOLS, step
from pytest_keyconform.history import NoiseKind
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History


@final
class OldFormsWork(Invariant):
    """The v1 call forms (positional) work; one that warns does so with `DeprecationWarning` at the caller's line.

    Why: services are moved to the new form one call site at a time; until then the old one has to work (001-4, 000-1).
    How it breaks: a new parameter is put before an old one; a form raises TypeError; the warning names the library.
    Fix: add parameters behind the old ones, and warn with ``stacklevel=2``.
    """

    id = "FMT09"
    audits = ("001-4", "000-1")
    requires = ("acquire|next_key|fail",)
    subject = ("acquire", "next_key", "fail")
    CONFORMING = (
        "acquire(model=m1, positional=True) -> key-1",
        "fail(lease=key-1, model=m1, retries=0, positional=True) -> key-2",
    )
    VIOLATING = (
        "acquire(model=m1, positional=True) -> raises TypeError",
        "acquire(model=m1, positional=True) -> key-1\nnoise warned: DeprecationWarning at a line of its own",
    )

    def workloads(self) -> Iterator[Workload]:
        """Each operation of each pool, called as the audited call sites do."""
        for pool in POOLS:
            key = "key-1" if pool == "regular" else "vertex-1"
            calls = {
                "acquire": step("acquire", model=DEFAULT_MODEL, pool=pool, positional=True),
                "next_key": step("next_key", pool=pool, positional=True),
                "fail": step("fail", lease=key, model=DEFAULT_MODEL, pool=pool, retries=0, positional=True),
            }
            for name, call in calls.items():
                old = any(form.name != name for form in self.claims.forms(name, pool))  # an Adapter's has its name
                if old and (self.policies.tenure == "rotation" or name == "acquire"):
                    yield Workload(name=f"{pool}-{name}", given=Given(), setup=(call,), overheard=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for errors, and for warnings that do not help who reads them."""
        yield from self.accidents(history)
        for noise in history.noise:
            if noise.kind is NoiseKind.WARNED:
                expected = "a DeprecationWarning at the line of the caller"
                yield Violation(observed=str(noise), expected=expected, signature=noise.kind.value, operation=None)
                return
