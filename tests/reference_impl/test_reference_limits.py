"""Limits, and the way from a model's name to its limits."""

import itertools

import pytest

from keyconform_reference import ConfigurationError, InvalidInputError, Limits, Options, UnknownModelError
from keyconform_reference.limits import ModelTable, canonical


def table(*names: str, options: Options | None = None) -> ModelTable:
    """A table of these models; the first one is the default."""
    return ModelTable({name: Limits(rpm=1) for name in names}, names[0], options or Options())


@pytest.mark.parametrize("number", [-1, 1.5, True, "3"])
def test_a_limit_that_is_no_count_is_refused(number):
    """A limit is a whole number from 0, or None."""
    with pytest.raises(ConfigurationError, match="rpm"):
        Limits(rpm=number)


@pytest.mark.parametrize(
    "asked, found",
    [
        ("m", "m"),
        ("m-lite", "m-lite"),
        ("m-lite-001", "m-lite"),
        ("m-lite@x", "m-lite"),
        ("m:free", "m"),
        ("mx", "mx"),
        ("mx-1", "mx"),
        ("m-litex", "m"),
    ],
)
def test_a_name_finds_the_longest_configured_one(asked, found):
    """The answer is the exact entry, else the longest one that ends at a boundary, in any order of the table."""
    for names in itertools.permutations(("m", "m-lite", "mx")):
        assert table(*names).resolve(asked).name == found


def test_a_name_that_only_begins_alike_is_another_model():
    """Without a boundary after it, a configured name is no prefix."""
    assert not table("m").resolve("mx").configured


def test_exact_match_takes_no_prefix():
    """Under ``model_match="exact"`` a longer name is an unknown model."""
    models = table("m", options=Options(model_match="exact"))
    assert models.resolve("m").configured
    assert not models.resolve("m-001").configured


@pytest.mark.parametrize("name", [None, "", "  ", "models/"])
def test_no_name_means_the_default_model(name):
    """None and blanks are the default model."""
    assert table("first", "second").resolve(name).name == "first"


@pytest.mark.parametrize("name", ["Gemini-Pro", " gemini-pro ", "models/gemini-pro", "models/Gemini-Pro-001"])
def test_spelling_does_not_make_another_model(name):
    """Case, blanks around and a ``models/`` in front are ignored."""
    assert table("gemini-pro").resolve(name).name == "gemini-pro"


def test_two_configured_spellings_stay_apart():
    """Where both spellings are configured, each finds its own limits, in any order of the table."""
    for names in itertools.permutations(("M1", "m1")):
        models = table(*names)
        assert models.resolve("M1").name == "M1"
        assert models.resolve("m1").name == "m1"
        assert models.resolve("M1").identity != models.resolve("m1").identity


@pytest.mark.parametrize("name", [7, b"m", ["m"], 1.0])
def test_what_is_no_name_is_refused(name):
    """A model that is no ``str`` is a typed error."""
    with pytest.raises(InvalidInputError):
        table("m").resolve(name)


def test_an_unknown_model_is_unlimited():
    """On the fly, an unknown model has no limits and is kept under its own name."""
    model = table("m").resolve("Other")
    assert (model.name, model.identity, model.limits) == ("Other", "other", Limits())


def test_an_unknown_model_can_be_the_default_one_or_an_error():
    """``fallback-model`` answers the default model, ``reject`` raises."""
    assert table("m", options=Options(unknown_model="fallback-model")).resolve("other").name == "m"
    with pytest.raises(UnknownModelError, match="other"):
        table("m", options=Options(unknown_model="reject")).resolve("other")


def test_a_default_model_needs_no_limits():
    """A default model without limits is a known model, also under ``reject``."""
    models = ModelTable({}, "plain", Options(unknown_model="reject"))
    assert models.resolve("plain") is models.resolve(None) is models.default
    assert models.configured == (models.default,)


@pytest.mark.parametrize("name", ["", " ", 7, None])
def test_a_nameless_default_model_is_refused(name):
    """The default model has a name."""
    with pytest.raises(ConfigurationError, match="default_model"):
        ModelTable({}, name, Options())


def test_nameless_limits_are_refused():
    """Limits are given for a name."""
    with pytest.raises(ConfigurationError, match="limits"):
        ModelTable({" ": Limits()}, "m", Options())


def test_ever_new_names_are_not_remembered_for_good():
    """The memory of names is bounded."""
    models = table("m")
    for number in range(5_000):
        models.resolve(f"n{number}")
    assert len(models._resolved) <= 1024


def test_canonical_is_idempotent():
    """A canonical name is its own."""
    assert canonical(canonical(" models/A-B ")) == canonical(" models/A-B ") == "a-b"
