"""Judging each invariant in a fresh interpreter."""

import json

BACKEND = """
    import sys
    import keyconform_reference

    seen = []

    def make(pool):
        if "conftest_was_here" in sys.modules or "pytest" in sys.argv[0]:
            raise OSError("not alone")
        return keyconform_reference.make_manager(pool)
"""


def test_nothing_of_pytest_is_there(pytester):
    """A backend that cannot bear what pytest's process holds is judged in interpreters that hold nothing."""
    pytester.makepyfile(backend=BACKEND)
    pytester.makeconftest("import sys; sys.modules['conftest_was_here'] = sys")
    flags = ("--keyconform=backend:make", "--keyconform-only", "--keyconform-profile=smoke")
    select = "--keyconform-select=FMT01,EXH03"
    report = "--keyconform-report=json:r.json"
    assert pytester.runpytest_subprocess(*flags, select, timeout=120).ret == 4
    result = pytester.runpytest_subprocess(*flags, select, report, "--keyconform-isolate", timeout=120)
    assert result.ret == 0
    report = json.loads((pytester.path / "r.json").read_text(encoding="utf-8"))
    assert {one["id"]: one["status"] for one in report["invariants"]} == {"EXH03": "conforms", "FMT01": "conforms"}


def test_scenarios_are_judged_too(pytester):
    """A scenario is read again by the interpreter that runs it."""
    flags = ("--keyconform=reference", "--keyconform-only", "--keyconform-isolate", "--keyconform-profile=smoke")
    scenarios = ("--keyconform-scenarios=builtin/exhaustion", "--keyconform-select=SCENARIO")
    result = pytester.runpytest_subprocess(*flags, *scenarios, timeout=120)
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] >= 3


def test_an_invariant_that_nobody_can_import(pytester):
    """An invariant made within a function is refused, with the mend."""
    pytester.makeconftest(
        """
        from pytest_keyconform.catalogue import CATALOGUE

        def made():
            return type("Own", (CATALOGUE[0].__bases__[0],), {"__module__": __name__, "id": "OWN01"}, extra=True)

        def pytest_keyconform_invariants():
            import conftest_kinds
            return [conftest_kinds.kind()]
        """
    )
    pytester.makepyfile(
        conftest_kinds="""
        from pytest_keyconform.catalogue import CATALOGUE

        def kind():
            one = CATALOGUE[0]
            body = {name: getattr(one, name) for name in vars(one) if not name.startswith("__")}
            body |= {"id": "OWN01", "__doc__": one.__doc__, "__module__": __name__, "__qualname__": "kind.Own"}
            return type("Own", one.__bases__, body)
        """
    )
    result = pytester.runpytest_subprocess("--keyconform=reference", "--keyconform-only", "--keyconform-isolate")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --keyconform-isolate: OWN01 (conftest_kinds.kind.Own) cannot be *"])
