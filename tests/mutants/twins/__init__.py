"""Sound key managers of many kinds: no rule may accuse one of them."""

from __future__ import annotations

from managers.filed import FileManager
from managers.kept import KeptManager
from managers.poor import PoorManager
from managers.rich import RichManager
from managers.stored import AsyncSqliteManager, SqliteManager

from twins import (
    calling,
    choosing,
    declared,
    instructed,
    leases,
    optional,
    provided,
    recovering,
    remote,
    shapes,
    stored,
    waiting,
    wrapped,
)

TWINS = (
    RichManager,
    PoorManager,
    waiting.ManyAwaits,
    waiting.QueueWorker,
    waiting.WindowTask,
    waiting.Blocking,
    choosing.LeastUsed,
    choosing.MostLeft,
    choosing.RandomChoice,
    choosing.ByTimeStamp,
    choosing.CountedOnAcquire,
    instructed.ObeysRetryAfter,
    leases.LeaseDesk,
    leases.LeaseDeskWithEnds,
    leases.LeaseUntilReport,
    declared.FallsBack,
    declared.RaisesTyped,
    declared.RaisesTypedRich,
    declared.AnswersNone,
    declared.OneFailureIsEnough,
    declared.SuccessClears,
    declared.RequestErrorsCount,
    declared.ErrorsAreFree,
    declared.RejectsUnknownModels,
    declared.FallbackModel,
    declared.RefusesUnknownKeys,
    declared.RefusesSharedKeys,
    declared.RefusesEmptyPools,
    declared.ExactNames,
    recovering.BackAfterSeconds,
    recovering.BackAfterSteps,
    recovering.BackNextDay,
    recovering.BackByHand,
    recovering.StrikesHeal,
    recovering.Rolling,
    recovering.Bucket,
    shapes.VersionOne,
    shapes.ThreadSafe,
    shapes.OverSqlite,
    shapes.Narrow,
    wrapped.RecordsSilently,
    wrapped.TellsRequestsOnly,
    wrapped.Decorated,
    wrapped.PassesOn,
    wrapped.Slotted,
    wrapped.Talkative,
    wrapped.from_coroutine,
    wrapped.from_context,
    wrapped.from_async_context,
    SqliteManager,
    AsyncSqliteManager,
    FileManager,
    KeptManager,
    stored.WritesBehind,
    stored.InOneTransaction,
    optional.ChecksAndHides,
    optional.CarriesOver,
    calling.Calls,
    calling.CallsInThreads,
    provided.Provided,
    remote.SoundOverSockets,
    remote.SoundInAThread,
)
"""Every twin: a class or function that is a factory."""

INTERLEAVED = (
    RichManager,
    PoorManager,
    waiting.ManyAwaits,
    waiting.QueueWorker,
    waiting.WindowTask,
    waiting.Blocking,
)
"""Those whose soundness depends on what runs between their awaits."""
