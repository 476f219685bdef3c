"""A key manager to deploy: hands out API keys from pools, within limits, and hears how the calls went."""

from .errors import (
    ConfigurationError,
    InvalidInputError,
    KeyManagerError,
    NotOpenError,
    NoUsableKeyError,
    ProviderEmptyError,
    StoreError,
    UnknownKeyError,
    UnknownModelError,
    UpstreamError,
)
from .factory import (
    Factory,
    make_manager,
    make_manager_with,
)
from .limits import Limits
from .manager import KeyManager
from .options import Options
from .provider import get_key_manager_instance, reset_key_manager_instance
from .reports import Lease

__all__ = [
    "ConfigurationError",
    "Factory",
    "InvalidInputError",
    "KeyManager",
    "KeyManagerError",
    "Lease",
    "Limits",
    "NoUsableKeyError",
    "NotOpenError",
    "Options",
    "ProviderEmptyError",
    "StoreError",
    "UnknownKeyError",
    "UnknownModelError",
    "UpstreamError",
    "get_key_manager_instance",
    "make_manager",
    "make_manager_with",
    "reset_key_manager_instance",
]
