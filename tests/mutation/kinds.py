"""The kinds of the reference that mutants are judged as: together they reach what it can be configured to."""

from __future__ import annotations

from keyconform_reference import Options, make_manager_with

usual = make_manager_with(Options())
leased = make_manager_with(Options(tenure="lease", lease_ttl=60.0, exhaustion="blocks", quota_recovery=(10.0, 20.0)))
other = make_manager_with(
    Options(
        exhaustion="fallback",
        selection="least-used",
        minute_window="rolling",
        success="clears",
        strike_recovery=30.0,
        auth_recovery=60.0,
        request_errors="counted",
    )
)
strict = make_manager_with(
    Options(
        exhaustion="typed-error",
        counted_on="acquire",
        failures="immediate",
        unknown_model="reject",
        unknown_key="typed-error",
        both_pools="reject",
        empty_pools="refuse",
        minute_window="bucket",
    )
)
daily = make_manager_with(
    Options(selection="most-left", quota_recovery="day", error_usage="free", reload="reset", day_zone="rolling")
)
