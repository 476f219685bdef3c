"""The shipped scenarios: none accuses a sound manager, and planted bugs are caught by the stories that tell of them."""

import planted
import pytest
import twins
from judging import FOLDER, target_of, told

from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.conformance import Conformance
from pytest_keyconform.conformance.scenarios import rules
from pytest_keyconform.spec.settings import Settings, TargetSetting

SHIPPED = rules(["builtin"], CATALOGUE)
TURNS = 3  # every twin is judged by one scenario in so many, each scenario by one twin in so many
ADVISORY = "durability/a-torn-file"  # what most managers leave undone
CAUGHT = (  # the planted bug, and the story of what it does
    ("TurnReadBeforeLock", "acquire/as-many-callers-as-keys"),
    ("RotationWrittenLate", "acquire/next-key-in-parallel"),
    ("OtherPoolHelpsOut", "acquire/the-pool-that-was-asked-for"),
    ("CacheFilledByALateRead", "acquire/failing-while-it-is-asked-for"),
    ("ScreensByTheDefaultModel", "acquire/the-model-decides"),
    ("LastConfiguredModel", "acquire/no-model-is-the-default-model"),
    ("ReleasesByKey", "acquire/a-late-release-frees-nothing"),
    ("BusyKeysAreSkipped", "acquire/more-callers-than-keys"),
    ("OneCasing", "configuration/names-of-secrets"),
    ("KeptInMemory", "durability/a-clean-restart"),
    ("CommittedWhenClosed", "durability/killed"),
    ("ReadThenWritten", "durability/two-processes"),
    ("NeverWaits", "durability/contention-is-not-the-callers-problem"),
    ("TornIsNone", "durability/a-torn-file"),
    ("CountsAreKeptAlone", "durability/refused-keys-stay-out"),
    ("RandomOfNone", "exhaustion/a-random-key-of-none"),
    ("RetriesTheSameKey", "exhaustion/the-last-key-fails"),
    ("TurnModuloNothing", "exhaustion/no-keys-at-all"),
    ("RegularKeysFirst", "exhaustion/no-regular-key"),
    ("SearchNeverCalledOff", "exhaustion/many-callers-and-nothing-to-serve"),
    ("DryUntilTheMinuteEnds", "exhaustion/a-key-comes-back"),
    ("PassedOverIsAStrike", "exhaustion/looking-in-vain-changes-nothing"),
    ("PoolHasToBeSaid", "failure/as-call-sites-report-it"),
    ("StillValidAtTheThreshold", "failure/a-threshold-of-one"),
    ("StrikesOutsideTheLock", "failure/failures-in-parallel-add-up"),
    ("LateSuccessLiftsTheBan", "failure/refused-everywhere"),
    ("TimeOutIsTheCallersFault", "failure/the-fault-of-the-provider"),
    ("OneRetryMore", "failure/no-more-retries"),
    ("SameKeyAgain", "failure/another-key-instead"),
    ("TallyBuiltAnew", "failure/a-mark-is-not-wiped-away"),
    ("NothingLeftToReset", "failure/one-key-is-restored"),
    ("BannedOnesStayOut", "failure/all-keys-are-restored"),
    ("LiftsEveryModel", "failure/one-model-is-lifted"),
    ("AlwaysAMinute", "failure/come-back-in-five-minutes"),
    ("NoFailuresNoNumber", "formats/the-status-after-failures"),
    ("SplitAboveTheThreshold", "formats/the-status-after-failures"),
    ("AllButTheInvalid", "formats/all-keys-are-both-groups"),
    ("StatusOfTheWrongBook", "formats/the-status-of-the-vertex-pool"),
    ("TwoPasses", "formats/a-status-in-the-midst-of-failures"),
    ("StatusHandedOutTwice", "formats/a-status-is-a-copy"),
    ("SecondCloseRaises", "lifecycle/closing-twice"),
    ("TaskLeft", "lifecycle/nothing-is-left-running"),
    ("BooksEmptied", "lifecycle/opening-twice"),
    ("StoreGone", "lifecycle/use-after-closing"),
    ("CountsAreLost", "lifecycle/who-stays-keeps-its-counts"),
    ("KeysAreAdded", "lifecycle/other-keys"),
    ("EmptiedThenFilled", "lifecycle/asking-during-a-reload"),
    ("HealthIsAText", "lifecycle/health"),
    ("ClosedForGood", "lifecycle/closed-and-opened-again"),
    ("BookAndView", "liveness/everything-at-once"),
    ("HalfCounted", "liveness/a-report-that-is-cancelled"),
    ("LockKeptWhenCancelled", "liveness/a-caller-hangs-up"),
    ("LockKeptOnBadInput", "liveness/use-after-bad-input"),
    ("StopsAtTheFirst", "configuration/every-error-is-reported"),
    ("WaitsForAWindow", "liveness/who-waits-is-served"),
    ("CountsOutsideTheLock", "quota/reports-in-parallel-add-up"),
    ("TokensMayReachTheLimit", "quota/tokens-up-to-the-limit"),
    ("StrangersRecorded", "quota/a-report-says-whether-it-was-stored"),
    ("FailedCallsCountTwice", "quota/a-failed-call-counts-once"),
    ("AnyNumberOfTokens", "quota/impossible-usage-is-refused"),
    ("DayOutlivesTheReset", "quota/usage-is-reset"),
    ("ThreeStrikesAlways", "failure/a-threshold-of-one"),
    ("LooksThenCounts", "quota/counted-when-it-is-handed-out"),
    ("LogsTheKey", "secrets/nothing-is-logged"),
    ("DayGoesWithTheMinute", "quota/requests-of-the-day"),
    ("MarksStay", "time/the-mark-is-over"),
    ("DayOfUtc", "time/midnight-in-the-zone-of-the-provider"),
    ("WinterAllYear", "time/a-day-of-23-hours"),
    ("EndsInTheFuture", "time/a-clock-set-back"),
    ("ExpiryRenewed", "time/steady-traffic"),
    ("StatusCountsAsACall", "time/reading-changes-nothing"),
    ("MinuteOfTheProcess", "durability/a-minute-after-a-restart"),
    ("FailuresOfKnownModels", "unknown/a-model-nobody-configured-is-served"),
    ("UsageOfKnownModels", "unknown/a-model-nobody-configured-is-counted"),
    ("MarksTheDefaultModel", "unknown/a-mark-on-an-unknown-model"),
    ("RefusalOfOneModel", "unknown/a-refusal-on-an-unknown-model"),
    ("FirstStemWins", "unknown/the-longest-name-that-fits"),
    ("AnythingIsAName", "unknown/names-that-are-no-names"),
    ("StrangersAreAdopted", "unknown/a-key-of-nobody"),
    ("ResetAlwaysSucceeds", "unknown/questions-about-a-key-of-nobody"),
    ("CountsEachListing", "unknown/a-key-listed-twice"),
    ("VertexNeedsAModel", "vertex/with-a-model-and-without"),
    ("VertexQuotaUnseen", "vertex/a-model-at-its-limit"),
    ("HealthOfTheName", "vertex/charged-to-its-own-pool"),
    ("EndsQuietly", "audits/002-critical-fixes/c3-a-stream-that-breaks"),
    ("KeepsTheLeaseOfLeavers", "audits/002-critical-fixes/c3-a-reader-who-leaves"),
)
MUTANTS = {mutant.name: mutant for mutant in planted.MUTANTS}


def reports_on(target, kinds):
    """Answer the reports on a target by some scenarios."""
    setting = TargetSetting(name=target.partition(":")[2], target=target, asked=target)
    conformance = Conformance(Settings(targets=(setting,), search=(FOLDER,), profile="smoke"), setting, kinds)
    conformance.start()
    return [conformance.judge(kind.id) for kind in kinds]


@pytest.mark.parametrize("number", range(len(twins.TWINS)), ids=[twin.__name__ for twin in twins.TWINS])
def test_a_sound_twin_is_not_accused(number):
    """No story is violated or undecided on a sound manager, whatever its policies are."""
    reports = reports_on(target_of(twins.TWINS[number]), SHIPPED[number % TURNS :: TURNS])
    wrong = [report for report in reports if report.status not in ("conforms", "not-applicable")]
    assert [told(report) for report in wrong if report.id != f"scenario[{ADVISORY}]"] == []


@pytest.mark.parametrize("name, story", CAUGHT, ids=[f"{MUTANTS[name].id}-{name}" for name, _ in CAUGHT])
def test_a_planted_bug_is_caught_by_its_story(name, story):
    """The story of an invariant fails on a manager that breaks it."""
    kind = next(kind for kind in SHIPPED if kind.id == f"scenario[{story}]")
    mutant = MUTANTS[name]
    assert mutant.id in kind.scenario.covers
    (report,) = reports_on(mutant.target, (kind,))
    assert report.status == "violated", told(report)


def test_every_family_catches_a_planted_bug():
    """There is a bug for the stories of each family of the catalogue that has both."""
    assert {story.partition("/")[0] for _, story in CAUGHT} >= {
        *("acquire", "quota", "exhaustion", "unknown", "failure", "vertex", "formats", "lifecycle", "time"),
        *("liveness", "durability", "secrets", "configuration"),
    }


def test_the_stories_catch_most_invariants():
    """Planted bugs of most invariants of the catalogue are caught by a story that covers them."""
    assert len({MUTANTS[name].id for name, _ in CAUGHT}) >= 70
