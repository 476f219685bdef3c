"""The steps of a scenario: every operation of a key manager, and what the harness does itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from pytest_keyconform.spec.scenario.parts import Instant, Key, Name, PoolName, Scalar, Strict, only_one

Outcome = Literal["success", "quota", "auth", "request", "transient"]
Line = Annotated[str, Field(pattern=r"^(ok|own|slow|hang|\d{3}( .*)?)$")]
Played = Annotated[str, Field(pattern=r"^(ok|hang|\d{3}|(breaks|resets|late|stalls) \d)$")]
Seconds = Annotated[float, Field(allow_inf_nan=False)]

# Why an operation of the design is no step here.
REFUSED = {
    "clock": "time is moved by advance and set_clock",
}


class Call(Strict):
    """What every operation may be given beside its arguments."""

    as_: Name | None = Field(default=None, alias="as", description="Names the answer, for later steps and for `then`.")
    optional: bool = Field(default=False, description="Left out where the backend does not have it.")
    bad: bool = Field(default=False, description="The input is to be refused: a typed error is an answer.")
    mutate: bool = Field(default=False, description="The answer is emptied once it was recorded.")
    form: str | None = Field(default=None, description="The method, where a backend has several for this operation.")
    positional: bool = Field(default=False, description="Called as call sites do, by position.")


class OfModel(Call):
    """An operation about a model: the default one where it is left out, none at all where it is null."""

    model: Scalar = None


class Acquire(OfModel):
    """Ask for a key."""

    pool: PoolName | None = None


class OfPool(Call):
    """An operation about a pool."""

    pool: PoolName | None = None


class OfKey(OfPool):
    """An operation about a key: one that is given, or the name of an answer; the pool is that of the key."""

    key: Scalar


class Usage(OfKey):
    """Read the usage of a key."""

    model: Scalar = None


class Record(Usage):
    """Report a call: its tokens and its outcome class."""

    tokens: Scalar = 1
    outcome: Outcome = "success"


class Fail(Usage):
    """Report a failure and ask for the replacement; without a status it is a time-out."""

    status: int | None = None
    retries: int = 0
    retry_after: float | None = None


class Reactivate(Call):
    """Restore a key, for all models or for one."""

    key: Scalar
    model: Scalar = None


class Lists(Call):
    """New lists of keys."""

    api_keys: tuple[Key, ...] | None = None
    vertex_api_keys: tuple[Key, ...] | None = None


class Bulk(Call):
    """Do something with many keys, and report each error."""

    keys: tuple[Key, ...]


class Configure(Call):
    """Hand over settings, and get the canonical ones."""

    settings: dict[str, Any]


class IsSecret(Call):
    """Ask whether a name is that of a secret."""

    name: str


class Migrate(Call):
    """Carry old rows over."""

    rows: tuple[dict[str, Any], ...]


class Wrapped(OfModel):
    """Let the backend call code with a key; it meets what `send` says, one each time it is asked, then no trouble."""

    pool: PoolName | None = None
    send: tuple[int | Line, ...] = Field(
        default=(),
        description="A status such as 429 or `500 took 4290 ms`, ok, own (the code itself fails), slow, or hang.",
    )


class Streamed(OfModel):
    """Read a stream to its end, or so many chunks and leave; the answer is `ended` or `left`."""

    pool: PoolName | None = None
    of: Name | None = Field(default=None, description="Tells it from other streams; a number where it is left out.")
    upstream: tuple[int | Played, ...] = Field(
        default=(),
        description="What each request meets: a status, ok (three chunks), hang, or breaks, resets, late or stalls "
        "with the number of chunks before it.",
    )
    read: Annotated[int, Field(ge=0)] | None = None
    leave: Literal["close", "drop", "cancel"] | None = Field(
        default=None, description="Closes it, forgets it, or is cancelled as the provider has fallen silent."
    )


class Restart(Strict):
    """Close the manager and open another one on its storage, some seconds later, its files damaged."""

    as_: Name | None = Field(default=None, alias="as")
    down: Annotated[Seconds, Field(ge=0)] = 0.0
    tear: Literal["half", "garbled", "empty"] | None = None


class Fault(Strict):
    """Let touches of the storage fail from one on, in commands of SQLite and in its files, until `mend`."""

    of: Literal["store"] = Field(description="A source and an upstream do not fail: `send` of a call stands for one.")
    after: Annotated[int, Field(ge=0)] = Field(default=0, description="How many touches are let pass before.")
    times: Annotated[int, Field(ge=1)] | None = Field(default=None, description="How many fail; left out: all.")


class Crash(Strict):
    """Kill the instance, and open another one on its storage; during a call, as it touches the store again."""

    during: Step | None = None
    at: Annotated[int, Field(ge=0)] = Field(default=0, description="Which touch of the store, from 0 on.")


class Cancel(Strict):
    """Cancel a call at its await of this number, from 0 on; where none is given, at each of the first ones."""

    call: Step
    at: Annotated[int, Field(ge=0)] | None = None


class Repeat(Strict):
    """Steps that are there several times over. In `parallel` each of them is one more caller."""

    times: Annotated[int, Field(ge=1, le=1000)]
    do: Annotated[tuple[Step, ...], Field(min_length=1)]


def _is_list(value: object) -> str:
    return "several" if isinstance(value, (list, tuple)) else "one"


Caller = Annotated[
    Annotated["Step", Tag("one")] | Annotated[tuple["Step", ...], Tag("several")], Discriminator(_is_list)
]


class Step(Strict):
    """One step: exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    acquire: Acquire | None = None
    release: OfKey | None = None
    next_key: OfPool | None = None
    random_key: OfModel | None = None
    record: Record | None = None
    fail: Fail | None = None
    usage: Usage | None = None
    reset_usage: Call | None = None
    failures: OfKey | None = None
    is_valid: OfKey | None = None
    reset: OfKey | None = None
    reset_all: Call | None = None
    reactivate: Reactivate | None = None
    status: OfPool | None = None
    all_keys: Call | None = None
    state: Call | None = None
    reload: Lists | None = None
    instance: Lists | None = None
    open: Call | None = None
    close: Call | None = None
    tick: Call | None = None
    health: Call | None = None
    paid_key: Call | None = None
    call: Wrapped | None = None
    stream: Streamed | None = None
    bulk: Bulk | None = None
    configure: Configure | None = None
    is_secret: IsSecret | None = None
    migrate: Migrate | None = None
    advance_layer: Call | None = None
    parallel: Annotated[tuple[Caller, ...], Field(min_length=1)] | None = None
    repeat: Repeat | None = None
    advance: Annotated[Seconds, Field(gt=0)] | Instant | None = Field(
        default=None, description="Seconds to let pass, or the instant to wait for."
    )
    set_clock: Seconds | None = Field(default=None, description="Seconds to set the wall clock forth, or back.")
    census: Call | None = Field(default=None, description="Counts tasks, timers and threads of the backend.")
    cancel: Cancel | None = None
    crash: Crash | None = None
    fault: Fault | None = None
    mend: Call | None = Field(default=None, description="The storage works again.")
    restart: Restart | None = None

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:  # noqa: ANN401 - whatever stands in a file
        name = next(iter(value), None) if isinstance(value, dict) else None
        if name in REFUSED:
            message = f"{name} is no step that can be run: {REFUSED[name]}"
            raise ValueError(message)
        return only_one(cls, value)

    @property
    def kind(self) -> str:
        """The name of the one that is set."""
        return next(iter(self.model_fields_set))

    @property
    def body(self) -> Any:  # noqa: ANN401 - the model of the one that is set
        """What is set."""
        return getattr(self, self.kind)


for model in (Crash, Cancel, Repeat, Step):
    model.model_rebuild()
