"""The catalogue under test: every class is whole, and judges its own histories rightly."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re

import pytest

from pytest_keyconform import catalogue
from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.catalogue.fitting import Misfit, fit
from pytest_keyconform.catalogue.invariant import Invariant
from pytest_keyconform.catalogue.notation import EVERYTHING, read
from pytest_keyconform.operation import Claims, Form
from pytest_keyconform.spec.policies import Policies

IDS = [kind.id for kind in CATALOGUE]
LEVELS = ("must", "should")

POLICIES = {
    "default": Policies(),
    "lease": Policies(tenure="lease"),
    "lease-with-ends": Policies(tenure="lease", lease_ttl=60.0),
    "on-report": Policies(tenure="lease", release="on-report"),
    "random": Policies(selection="random"),
    "least-used": Policies(selection="least-used"),
    "counted-on-acquire": Policies(counted_on="acquire"),
    "uncounted": Policies(counted_on="none"),
    "immediate": Policies(failures="immediate"),
    "fallback": Policies(exhaustion="fallback"),
    "typed-error": Policies(exhaustion="typed-error"),
    "blocks": Policies(exhaustion="blocks"),
    "rejecting": Policies(both_pools="reject", empty_pools="refuse", unknown_model="reject", unknown_key="typed-error"),
    "recovering": Policies(quota_recovery=(10, 20), strike_recovery=30, auth_recovery=60),
    "by-hand": Policies(quota_recovery=None),
    "bucket": Policies(minute_window="bucket"),
}

VERSION_ONE = Claims(
    operations={
        "acquire": (
            Form(name="get_next_working_key", pools=frozenset({"regular"})),
            Form(name="get_next_working_vertex_key", pools=frozenset({"vertex"})),
        ),
        "fail": (
            Form(
                name="handle_api_failure",
                parameters=frozenset({"lease", "model", "retries"}),
                pools=frozenset({"regular"}),
            ),
            Form(
                name="handle_vertex_api_failure",
                parameters=frozenset({"lease", "retries"}),
                pools=frozenset({"vertex"}),
            ),
        ),
        "status": (Form(name="get_keys_by_status", pools=frozenset({"regular"})),),
    },
    given=frozenset({"api_keys", "vertex_api_keys"}),
)
BACKENDS = {**{name: (policies, EVERYTHING) for name, policies in POLICIES.items()}, "v1": (Policies(), VERSION_ONE)}


def cases(kind: str):
    """Each history of a kind, under a name that tells whose it is."""
    return [
        pytest.param(rule, text, id=f"{rule.id}-{number}")
        for rule in CATALOGUE
        for number, text in enumerate(getattr(rule, kind))
    ]


def breaches(rule, text):
    """What a rule objects to in a history in the notation."""
    history, policies = read(text)
    return list(rule(policies, EVERYTHING).violations(history))


def everywhere(rule):
    """The programs of a rule for each kind of backend, with what it claims."""
    for name, (policies, claims) in BACKENDS.items():
        yield name, list(rule(policies, claims).workloads()), claims


@pytest.mark.parametrize("rule,text", cases("CONFORMING"))
def test_a_conforming_history_is_not_accused(rule, text):
    """A rule finds nothing in a history that keeps its promise."""
    assert breaches(rule, text) == []


@pytest.mark.parametrize("rule,text", cases("VIOLATING"))
def test_a_violating_history_is_accused(rule, text):
    """A rule objects to a history that breaks its promise, and says what was seen and what was to be expected."""
    found = breaches(rule, text)
    assert found
    for violation in found:
        assert violation.observed
        assert violation.expected


@pytest.mark.parametrize("rule,text", cases("VIOLATING"))
def test_a_signature_names_no_key_time_or_count(rule, text):
    """What tells one breach from another is the same for every key."""
    for violation in breaches(rule, text):
        # A class's name, such as of an error, and a status belong to the breach: they may have digits.
        assert not re.search(r"(key|vertex|stranger)-\d|\d\.\d", violation.signature)


@pytest.mark.parametrize("rule", CATALOGUE, ids=IDS)
def test_the_prose_is_whole(rule):
    """The docstring begins with the promise in one line, and says why, how it breaks and how to mend it."""
    promise, blank, *rest = (rule.__doc__ or "").splitlines()
    assert promise.endswith(".")
    assert not blank
    parts = [line.strip().partition(":")[0] for line in rest if re.match(r"\s*(Why|How it breaks|Fix):", line)]
    assert parts == ["Why", "How it breaks", "Fix"]


@pytest.mark.parametrize("rule", CATALOGUE, ids=IDS)
def test_an_invariant_is_final(rule):
    """No class of the catalogue is made to be subclassed."""
    assert getattr(rule, "__final__", False)
    assert rule.__subclasses__() == []


@pytest.mark.parametrize("rule", CATALOGUE, ids=IDS)
def test_the_facts_are_in_form(rule):
    """The id is letters and two digits, the level is one of two, audits are named as issue or risk of a document."""
    assert re.fullmatch(r"[A-Z]{2,4}\d\d", rule.id)
    assert rule.level in LEVELS
    assert rule.audits
    assert all(re.fullmatch(r"00[0-4]-[A-Z]*\d*[a-z]?(\.\d+)?", audit) for audit in rule.audits)
    assert set(rule.applies) <= set(Policies.model_fields)


@pytest.mark.parametrize("rule", CATALOGUE, ids=IDS)
def test_workload_names_are_unique(rule):
    """Within an invariant a workload's name leads to one program, under every policy: replay tokens hold it."""
    for where, workloads, _ in everywhere(rule):
        names = [workload.name for workload in workloads]
        assert len(set(names)) == len(names), where
        assert not [name for name in names if not re.fullmatch(r"[^/~\s][^/\s]*", name)], where


@pytest.mark.parametrize("rule", CATALOGUE, ids=IDS)
def test_workloads_are_the_same_each_time(rule):
    """A token finds its program again: asking twice gives the same programs."""
    asked = rule(Policies(), EVERYTHING)
    assert repr(list(asked.workloads())) == repr(list(asked.workloads()))  # a NaN equals none


@pytest.mark.parametrize("rule", CATALOGUE, ids=IDS)
def test_workloads_can_be_fitted(rule):
    """Every program can be fitted to a backend, or it is said what is lacking."""
    for where, workloads, claims in everywhere(rule):
        for workload in workloads:
            fitted = fit(workload, claims)
            if isinstance(fitted, Misfit):
                assert fitted.why, where
            else:
                assert fitted.name == workload.name


@pytest.mark.parametrize("rule", CATALOGUE, ids=IDS)
def test_a_backend_with_everything_is_provoked(rule):
    """Under one policy at least, a backend that claims everything, or one of version 1, can run a program of each."""
    programs = (
        fit(workload, claims)
        for claims in (EVERYTHING, VERSION_ONE)
        for policies in POLICIES.values()
        for workload in rule(policies, claims).workloads()
    )
    assert any(not isinstance(program, Misfit) for program in programs)


def test_ids_are_unique_and_in_order():
    """Each id stands once, and within a family by its number."""
    assert len(set(IDS)) == len(IDS)
    for _, family in itertools.groupby(CATALOGUE, key=lambda rule: rule.family()):
        numbers = [rule.id for rule in family]
        assert numbers == sorted(numbers)


def test_the_catalogue_is_complete():
    """Every invariant that a module of the package defines is in the catalogue."""
    modules = [
        importlib.import_module(f"{catalogue.__name__}.{found.name}")
        for found in pkgutil.iter_modules(catalogue.__path__)
    ]
    defined = {
        value.id
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Invariant)
        and value.__module__ == module.__name__
        and getattr(value, "__final__", False)
    }
    assert defined == set(IDS)


def test_an_incomplete_invariant_is_refused():
    """A class without its prose, its histories or its programs is refused where it is written, by what it lacks."""
    with pytest.raises(TypeError, match=r"Half lacks id, audits, CONFORMING, VIOLATING, Why:.*workloads"):
        type("Half", (Invariant,), {"__doc__": "A promise."})
