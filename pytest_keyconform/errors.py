"""Every error of this package, in one tree.

::

    KeyconformError
    ├── UsageError              what the user gave cannot be used; exit status 4
    │   ├── TargetError         the target cannot be found, imported or opened
    │   ├── AdapterError        an Adapter subclass is misspelt
    │   ├── SettingError        a flag, ini key or environment variable
    │   ├── WaiverError         a file of waivers that cannot be read, or a waiver that cannot stand
    │   ├── BaselineError       an earlier report that cannot be read
    │   ├── ScenarioError       a scenario file that cannot be read or run
    │   ├── TokenError          a replay token that cannot be read or used
    │   └── ReportError         a report that cannot be written
    ├── WireError               a backend in another process said nothing, or what is no answer
    └── Unsupported             raised by an adapter: this operation, or this form of it, is not claimed
"""

from __future__ import annotations


class KeyconformError(Exception):
    """The root of all errors of this package."""


class UsageError(KeyconformError):
    """What the user gave cannot be used: says what was expected, what was found, and the mend."""


class TargetError(UsageError):
    """The target cannot be found, imported or opened."""


class AdapterError(UsageError):
    """An `Adapter` subclass defines an operation that does not exist."""


class SettingError(UsageError):
    """A flag, an ini key or an environment variable has a value that cannot be used."""


class WaiverError(UsageError):
    """A file of waivers cannot be read, or a waiver cannot stand; names file, line and the mend."""


class BaselineError(UsageError):
    """An earlier report cannot be read, or does not belong with the others."""


class ScenarioError(UsageError):
    """A scenario file cannot be read or run: says the file and the line, what was expected, and what was found."""


class TokenError(UsageError):
    """A replay token cannot be read, or does not fit this catalogue."""


class ReportError(UsageError):
    """A report cannot be written to the path that was given."""


class WireError(KeyconformError):
    """A backend in another process said nothing, or what is no answer of the protocol: it cannot be judged."""


class Unsupported(KeyconformError):
    """An adapter says at run time that it does not claim this operation, or this form of it."""
