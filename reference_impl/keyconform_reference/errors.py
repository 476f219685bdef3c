"""The errors of the key manager, one tree.

    KeyManagerError
    ├── ConfigurationError (ValueError)   pools, limits or options that cannot be served
    ├── InvalidInputError (ValueError)    an argument no report or request may carry; nothing was changed
    ├── NoUsableKeyError                  nothing is usable and the options say ``typed-error``
    ├── NotOpenError                      the manager was not opened, or has been closed
    ├── ProviderEmptyError                the provider was asked for an instance before there was one
    ├── StoreError                        the store of the keys did not carry a step out, or not in time
    ├── UnknownKeyError                   the key is in no pool and the options say ``typed-error``
    └── UnknownModelError                 the model is not configured and the options say ``reject``

No message carries a whole API key: keys appear redacted (see ``keys.redact``).
"""

from __future__ import annotations


class KeyManagerError(Exception):
    """Anything this package raises on purpose."""


class ConfigurationError(KeyManagerError, ValueError):
    """Pools, limits or options that cannot be served (000-20, 000-9)."""


class InvalidInputError(KeyManagerError, ValueError):
    """An argument that no request or report may carry; the call has changed nothing (002-O4)."""


class NoUsableKeyError(KeyManagerError):
    """No key is usable and ``Options.exhaustion`` is ``typed-error`` (000-3, 000-28)."""

    def __init__(self, pool: str, model: str) -> None:
        super().__init__(f"no key of the {pool} pool is usable for model {model!r}")


class NotOpenError(KeyManagerError):
    """The manager was used before ``init()`` or after ``shutdown()`` (000-6, 000-12)."""

    def __init__(self) -> None:
        super().__init__("the key manager is not open: await init() first (a closed one may be opened again)")


class ProviderEmptyError(KeyManagerError):
    """The provider was asked without keys before the first instance was built (000-21, 000-25)."""

    def __init__(self) -> None:
        super().__init__("there is no key manager yet: call get_key_manager_instance(api_keys, vertex_api_keys)")


class StoreError(KeyManagerError):
    """The store of the keys did not carry a step out, or not in time (002-O1, 003-B1).

    What was asked for may have happened or not, unless an earlier answer said so. The manager goes on by itself once
    the store does.
    """


class UnknownKeyError(KeyManagerError):
    """A report named a key of no pool and ``Options.unknown_key`` is ``typed-error`` (000-9)."""

    def __init__(self, pool: str, label: str) -> None:
        super().__init__(f"the key {label} is not in the {pool} pool")


class UnknownModelError(KeyManagerError):
    """The model is not configured and ``Options.unknown_model`` is ``reject`` (000-10, 000-11)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the model {name[:80]!r} is not configured; add limits for it")
