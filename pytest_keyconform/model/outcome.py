"""Statuses and what a report of one does (catalogue: *Vocabulary*, *What a report does*)."""

from __future__ import annotations

OUTCOMES = ("quota", "auth", "request", "transient")


def outcome_of(status: object) -> str:
    """Answer the outcome class of a status: a number, or None for a time-out or no answer at all."""
    match status:
        case 429:
            return "quota"
        case 401 | 403:
            return "auth"
        case 400 | 404 | 413 | 422:
            return "request"
        case _:
            return "transient"
