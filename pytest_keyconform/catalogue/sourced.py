"""What the rules about a source of limits are made of: pools, states of the source, and calls that show limits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.published import AT_ONCE, kept_at_last, limited_somewhere, ruled_by, served
from pytest_keyconform.catalogue.serving import at_limit
from pytest_keyconform.catalogue.steps import acquire, record, release, step
from pytest_keyconform.limits_page import Published, State
from pytest_keyconform.operation import Ref
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.workload import Step

SHOWN: Final = {"counted_on": ("record", "acquire"), "exhaustion": ("sentinel", "typed-error", "blocks")}
BAD: Final[tuple[State, ...]] = ("down", "500", "empty", "garbled", "html", "tierless", "null")
TWO: Final = '{"m1": {"RPM": 2, "TPM": "250K", "RPD": null}}'
THREE: Final = '{"m1": {"RPM": 3, "TPM": "250K", "RPD": null}}'
DEFAULTS: Final = Limits(rpm=4, tpm=1000, rpd=50)
FLOOD: Final = 60  # calls in one minute, each of more tokens than any limit: one of them must be refused
MUCH: Final = 1_000_000_000
LATER: Final = 1.0  # seconds in which a source is read that is read beside the opening
WHILE: Final = 3700.0  # seconds after which a manager that reads the source every hour does so


def source(state: State, *, page: str | None = None) -> Step:
    """Let the source be in another state, and answer another page where one is given."""
    return step("source", state=state, page=... if page is None else page)


def asked() -> Step:
    """Read what the source saw so far."""
    return step("asked")


class Sourced(Invariant, shared=True):
    """What the rules share: one key, a source, and calls that show the limits that are in force."""

    requires = ("acquire",)
    sourced = True
    timed = True

    def pool(self, page: str = TWO, *, state: State = "up") -> Given:
        """Answer a pool of one key whose limits are the source's alone; who rejects unknown models is told one."""
        rejects = self.policies.unknown_model == "reject"
        limits = ((DEFAULT_MODEL, Limits(rpm=50)),) if rejects else ()
        return Given(regular=("key-1",), limits=limits, source=Published(state=state, page=page))

    def unsupplied(self, state: State) -> Given:
        """Answer a pool of one key with limits of its own, for a source that answers nothing good."""
        limits = ((DEFAULT_MODEL, DEFAULTS),)
        return Given(regular=("key-1",), limits=limits, source=Published(state=state), needs=frozenset({"limits"}))

    @property
    def shows(self) -> bool:
        """Whether limits show in what is served: they are counted, and what is over them is not served."""
        return self.policies.counted_on != "none" and self.policies.exhaustion != "fallback"

    @property
    def lasting(self) -> bool:
        """Whether something is kept over a restart."""
        given = self.claims.given
        return self.policies.durability != "none" and (given is None or "storage" in given)

    def calls(self, tokens: tuple[int, ...], *, tag: str = "c") -> tuple[Step, ...]:
        """Answer so many calls, each with its tokens: a key is taken, reported on and, under leases, given back."""
        return tuple(part for number, spent in enumerate(tokens) for part in self._call(f"{tag}{number}", spent))

    def _call(self, bind: str, tokens: int) -> Iterator[Step]:
        yield acquire(bind)
        if self.policies.counted_on == "record" or self.policies.tenure == "lease" or tokens > 1:
            told = record(Ref(bind), tokens=tokens)
            yield told if tokens == 1 else exactly(told)
        if self.policies.tenure == "lease" and self.policies.release == "explicit":
            yield release(Ref(bind))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that is over its limits, and no key where it is below them."""
        return at_limit(moment) if moment.name == "acquire" else None

    def kept(self, history: History) -> Iterator[Violation]:
        """Look for answers that the page which is to be in force does not allow."""
        page = kept_at_last(history)
        if page is not None:
            yield from self.disorder(ruled_by(history, page))


def exactly(told: Step) -> Step:
    """Answer a step whose tokens matter."""
    return replace(told, exact=True)


def boundless(history: History) -> Iterator[Violation]:
    """Look for so many calls of so many tokens that only a manager without any limits serves them all at once."""
    calls = [op for op in history.named("acquire") if served(op) and (op.until or op.at) - op.at < AT_ONCE]
    told = all(op.value is not False for op in history.named("record"))
    if len(calls) >= FLOOD and told and not limited_somewhere(history):
        expected = "a refusal within a minute: the pool was given limits, and so is every table of defaults"
        observed = f"{len(calls)} calls of {MUCH} tokens were served at once"
        yield Violation(observed=observed, expected=expected, signature="no limits at all", operation=calls[-1])
