"""A scenario file: what is given, what happens, and what must then hold (design: *Scenario files*)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from pytest_keyconform.spec.policies import Policies
from pytest_keyconform.spec.pool import Limits
from pytest_keyconform.spec.scenario.parts import Instant, Key, Name, PoolName, Scalar, Strict, only_one
from pytest_keyconform.spec.scenario.steps import Step

HINT = "# yaml-language-server: $schema={schema}"
PLAIN = {"m1": Limits(), "m2": Limits()}
Id = Annotated[str, Field(pattern=r"^[A-Z]+[0-9]+$")]
Values = Annotated[dict[Name, Any], Field(min_length=1)]


class Given(Strict):
    """The pool that is opened, and the policies that the scenario is true under. Keys are names, as in ``k1``."""

    regular: tuple[Key, ...] = ("k1", "k2", "k3")
    vertex: tuple[Key, ...] = ("v1", "v2")
    limits: dict[str, Limits] = Field(default=PLAIN, description="By model; a limit left out is none, 0 is closed.")
    default_model: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="m1, or else the first model of the limits."
    )
    max_failures: Annotated[int, Field(ge=1)] = 3
    max_retries: Annotated[int, Field(ge=0)] = 3
    paid_key: Key | Literal[""] = ""
    begins: Instant | None = Field(
        default=None, description="When the wall clock begins: a quarter of an hour from 2026-03-02T12:00:00Z on."
    )
    opened: bool = Field(default=True, description="false: the manager is made, and not opened before the first step.")
    apart: bool = Field(default=False, description="Each caller has an instance of its own over one storage.")
    policies: dict[str, Any] = Field(
        default={}, description="Policies the scenario needs: a value, or a list of those it is true under."
    )

    @field_validator("policies")
    @classmethod
    def _known(cls, policies: dict[str, Any]) -> dict[str, Any]:
        for name, values in policies.items():
            if name not in Policies.model_fields:
                message = f"expected policies of the catalogue, found {name!r}"
                raise ValueError(message)
            for value in values if isinstance(values, list) else [values]:
                _check_policy(name, value)
        return policies

    @property
    def model(self) -> str:
        """The default model."""
        if self.default_model is not None:
            return self.default_model
        return next(iter(self.limits), "m1") if "m1" not in self.limits else "m1"

    def applies(self) -> dict[str, tuple[object, ...]]:
        """Answer the values of each policy that the scenario is true under."""
        return {name: tuple(value) if isinstance(value, list) else (value,) for name, value in self.policies.items()}


def _check_policy(name: str, value: object) -> None:
    try:
        Policies(**{name: value})  # type: ignore[arg-type]  # that is what is found out
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Input should be ")
        message = f"expected of the policy {name} {problem}, found {value!r}"
        raise ValueError(message) from None


class Permutation(Strict):
    """The answers of these calls are these keys, each once, in any order."""

    answers: Annotated[tuple[Name, ...], Field(min_length=1)]
    keys: tuple[Key, ...]


class UsageIs(Strict):
    """The counters of a key at the end; those that are named are compared, as far as the backend counts them."""

    key: Key
    model: Scalar = None
    pool: PoolName | None = None
    rpm: Annotated[int, Field(ge=0)] | None = None
    tpm: Annotated[int, Field(ge=0)] | None = None
    rpd: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _names_a_counter(self) -> UsageIs:
        if (self.rpm, self.tpm, self.rpd) == (None, None, None):
            raise ValueError("expected rpm, tpm or rpd, found none of them")
        return self


class StateOf(Strict):
    """Whether a key is valid at the end, and how many failures it has, in every view the backend has."""

    key: Key
    pool: PoolName | None = None
    valid: bool | None = None
    failures: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> StateOf:
        if self.valid is None and self.failures is None:
            raise ValueError("expected valid or failures, found neither")
        return self


Raising = Literal["typed", "never"]


class Expectation(Strict):
    """One thing that must hold at the end: exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    equals: Values | None = Field(
        default=None,
        description="By the name of an answer: what it is. The word nothing stands for what an acquire answers when "
        "nothing is usable, as the policy exhaustion says, and sentinel for the declared sentinel.",
    )
    one_of: Annotated[dict[Name, list[Any]], Field(min_length=1)] | None = Field(
        default=None, description="By the name of an answer: what it may be."
    )
    distinct: Annotated[tuple[Name, ...], Field(min_length=1)] | None = Field(
        default=None, description="These answers are keys, no two of them the same."
    )
    permutation_of: Permutation | None = None
    in_pool: Annotated[dict[Name, PoolName], Field(min_length=1)] | None = Field(
        default=None, description="By the name of an answer: the pool that its key belongs to."
    )
    not_in: Annotated[dict[Name, list[Any]], Field(min_length=1)] | None = Field(
        default=None, description="By the name of an answer: what it must not be."
    )
    usage: UsageIs | None = None
    state_of: StateOf | None = None
    raises: Raising | Annotated[dict[Name, Raising], Field(min_length=1)] | None = Field(
        default=None, description="typed: nothing but declared errors. never: no error. For all calls, or by name."
    )
    within: Annotated[dict[Name, Annotated[float, Field(ge=0)]], Field(min_length=1)] | None = Field(
        default=None, description="By the name of an answer: the seconds of virtual time it may take."
    )
    unchanged_since: Annotated[dict[Name, Name], Field(min_length=1)] | None = Field(
        default=None, description="By the name of an answer: an earlier one that it is equal to."
    )
    log_free_of_keys: Literal[True] | None = Field(default=None, description="No whole key was logged or printed.")
    keeps: Annotated[tuple[Id, ...], Field(min_length=1)] | None = Field(
        default=None, description="Invariants of the catalogue that what happened keeps."
    )

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:  # noqa: ANN401 - whatever stands in a file
        return only_one(cls, value)

    @property
    def kind(self) -> str:
        """The name of the one that is set."""
        return next(iter(self.model_fields_set))


class Scenario(Strict):
    """What is given, what happens, and what must then hold; read from a YAML file."""

    title: Annotated[str, Field(min_length=1, description="The promise, in one line.")]
    why: str = Field(default="", description="What happened where it was not kept.")
    covers: tuple[Id, ...] = Field(default=(), description="Invariants of the catalogue that this is a story of.")
    audits: tuple[Annotated[str, Field(pattern=r"^\d{3}-[A-Z]?[\w.]+$")], ...] = ()
    level: Literal["must", "should"] = "must"
    given: Given = Given()
    when: Annotated[tuple[Step, ...], Field(min_length=1)]
    then: Annotated[tuple[Expectation, ...], Field(min_length=1)]


def json_schema() -> dict[str, Any]:
    """Answer the JSON Schema of scenario files."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Scenario.model_json_schema(by_alias=True, mode="validation"),
        "title": "pytest-keyconform scenario",
    }
