"""Build hook: the scenarios ship inside the plugin package, in the standard wheel only.

An editable install reads them in the checkout: a file forced into its wheel would be a stale copy.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ScenariosHook(BuildHookInterface):  # type: ignore[type-arg]  # generic in its configuration, which is empty
    """Put `scenarios/` at `pytest_keyconform/scenarios/`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder where `version` is "standard"; the other one is "editable"."""
        if version == "standard":
            build_data["force_include"][str(Path(self.root, "scenarios"))] = "pytest_keyconform/scenarios"
