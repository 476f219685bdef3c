"""What a call costs: the lines of the backend that it runs, and the memory that is held after it."""

from __future__ import annotations

import gc
import sys
import sysconfig
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pytest_keyconform.adapters.keys import WeighedKey

if TYPE_CHECKING:
    from types import FrameType

_HARNESS: Final = str(Path(__file__).parents[1])
_LIBRARY: Final = sysconfig.get_paths()["stdlib"]
_INSTALLED: Final = ("site-packages", "dist-packages")


def _is_counted(filename: str) -> bool:
    """Tell whether a file is neither the harness' own nor of the standard library."""
    if filename.startswith((_HARNESS, "<")):
        return False
    return not filename.startswith(_LIBRARY) or any(name in filename for name in _INSTALLED)


class Weighing:
    """Counts the ``lines`` that run while its block lasts; a tracer that was set is back after it.

    What C code does in one line is seen as far as it looks at keys that are weighed: each look counts as a line.
    """

    def __init__(self) -> None:
        self.lines = 0
        self._before: Any = None
        self._looks = 0

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        self._looks = WeighedKey.looks
        sys.settrace(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)
        self.lines += WeighedKey.looks - self._looks

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401, ARG002 - settrace's own
        return self._ran if _is_counted(frame.f_code.co_filename) else None

    def _ran(self, frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401, ARG002 - settrace's own
        self.lines += event == "line"
        return self._ran


class Memory:
    """Measures what is held that was allocated by the backend's code and by libraries since the first measuring."""

    def __init__(self) -> None:
        self._started = False

    def held(self) -> int:
        """Answer the bytes that are held; 0 at the first time, where the counting begins."""
        if not tracemalloc.is_tracing():
            gc.freeze()  # what was there before need not be looked through each time
            tracemalloc.start()
            self._started = True
            return 0
        gc.collect()
        found = tracemalloc.take_snapshot().statistics("filename")
        return sum(one.size for one in found if _is_counted(one.traceback[0].filename))

    def stop(self) -> None:
        """Stop measuring, if this has begun it."""
        if self._started:
            tracemalloc.stop()
            gc.unfreeze()
            self._started = False
