"""What is changed, what is left alone, and how mutants are judged."""

import time

import jury
import pytest
import run
from mutator import mutants_of

SOURCE = '''
"""A docstring with 1 < 2."""
from __future__ import annotations
if TYPE_CHECKING:
    import limits
LIMIT: int = 3

def full(used: int, limit: int | None = None) -> bool:
    """Tell."""
    message = f"{used + 1} of {limit}"
    return limit is not None and not used < limit

class Count:
    def add(self, n):
        self.n += n
        self.tell(n - 1)
        if self.n == 0:
            raise ValueError("ä < 1")
'''


@pytest.fixture
def mutants():
    """Answer the mutants of a small module."""
    return mutants_of("small.py", SOURCE)


def changes(mutants, kind):
    """What the mutants of a kind put in the place of what."""
    return [(mutant.before, mutant.after) for mutant in mutants if mutant.kind == kind]


def test_each_kind_of_change_is_made(mutants):
    """Comparisons, words, sums, negations, conditions, constants, statements and answers are changed."""
    assert changes(mutants, "comparison") == [("is not", "is"), ("<", "<="), ("==", "!=")]
    assert changes(mutants, "word") == [("and", "or")]
    assert changes(mutants, "sum") == [("-", "+")]
    assert changes(mutants, "negation") == [("not used < limit", "(used < limit)")]
    assert changes(mutants, "condition") == [("self.n == 0", "(not (self.n == 0))")]
    assert changes(mutants, "constant") == [("3", "2"), ("3", "4"), ("1", "0"), ("1", "2"), ("0", "-1"), ("0", "1")]
    assert changes(mutants, "answer") == [("return limit is not None and not used < limit", "return None")]
    assert [before for before, _ in changes(mutants, "removal")] == [
        "self.n += n",
        "self.tell(n - 1)",
        'raise ValueError("ä < 1")',
    ]


def test_annotations_defaults_and_texts_stay(mutants):
    """What does nothing when it runs is left alone, and so are texts."""
    scopes = {mutant.scope for mutant in mutants}
    assert scopes == {"", "full", "Count.add"}
    assert not any("TYPE_CHECKING" in mutant.before or "used + 1" in mutant.before for mutant in mutants)


def test_a_mutant_is_one_change_that_compiles(mutants):
    """Every mutant differs from the source in one place, has a name of its own, and is Python."""
    assert len({mutant.key for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        changed = mutant.applied(SOURCE)
        compile(changed, "small.py", "exec")
        assert changed != SOURCE
        assert mutant.diff(SOURCE).count("\n-") == 0
        assert mutant.diff(SOURCE).startswith("-")


def test_a_name_survives_what_is_written_above(mutants):
    """The name of a mutant does not depend on where in the file its function stands."""
    later = mutants_of("small.py", SOURCE.replace("LIMIT: int = 3\n", "LIMIT: int = 3\nOTHER = None\n\n"))
    assert [mutant.key for mutant in later] == [mutant.key for mutant in mutants]


def test_what_is_explained_exists_and_has_its_reason():
    """Each survivor in the list is a mutant of today's reference, shows its change, and says why it lives."""
    today = {mutant.key: (mutant, source) for mutant, source in run.every_mutant()}
    for key, one in run.explained().items():
        assert key in today, f"{key}: no such mutant any more"
        mutant, source = today[key]
        assert one["diff"].strip() == mutant.diff(source).strip(), key
        assert len(one["why"]) >= 15, key


def test_a_mutant_is_caught_in_a_process_of_its_own():
    """A mutant that serves no key is caught by the id that is about it; the reference here stays as it is."""
    mutant, source = next(
        (mutant, source)
        for mutant, source in run.every_mutant(("manager.py",))
        if mutant.kind == "answer" and mutant.scope.endswith(".get_key")
    )
    ids = dict.fromkeys(jury.KINDS, ()) | {"usual": ("ACQ11",)}
    caught = list(run.judged([(mutant, source)], ids, jobs=1, seconds=60))
    assert caught == [(mutant, ["usual", "ACQ11"])]


def test_a_mutant_that_does_not_end_is_ended():
    """What takes longer than its bound is given up, and its process is gone."""
    job = jury.Job(time.sleep, 60)
    assert job.answer(0.01) is None
    job.end()
    assert not job._process.is_alive()


def test_results_are_taken_up_again(tmp_path):
    """Results of the same reference are kept, those of another one are not."""
    path = tmp_path / "results.jsonl"
    assert run.kept(path, "one") == {}
    run.keep(path, "one", "a", None)
    run.keep(path, "two", "b", ["x", "y"])
    assert run.kept(path, "one") == {"a": None}
    assert run.kept(path, "two") == {"b": ["x", "y"]}


def test_the_sum_names_what_is_not_explained(monkeypatch, capsys, mutants):
    """The rate is printed; a survivor without a reason, and a reason without a survivor, make the run fail."""
    one, two, three = ((mutant, SOURCE) for mutant in mutants[:3])
    caught = {one[0].key: ["usual", "ACQ01"], two[0].key: None, three[0].key: None}
    monkeypatch.setattr(run, "explained", lambda: {two[0].key: {}})
    assert run.summed_up([one, two], caught) == 0
    told = "\n1 of 2 mutants caught (50.0 %), 0 not decided in time\n1 of 1 survivors are explained\n"
    assert capsys.readouterr().out == told
    assert run.summed_up([one, two, three], caught) == 1
    assert f"survived: {three[0].key}\n-" in capsys.readouterr().out
    assert run.summed_up([one, two], caught | {one[0].key: run.UNDECIDED}) == 0
    assert "0 of 1 mutants caught (0.0 %), 1 not decided in time" in capsys.readouterr().out
    monkeypatch.setattr(run, "explained", lambda: {one[0].key: {}})
    assert run.summed_up([one], caught) == 1
    assert "explained as a survivor, and caught" in capsys.readouterr().out
