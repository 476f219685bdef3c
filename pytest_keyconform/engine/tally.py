"""How many executions were run so far, by this process and by those it was copied into."""

from __future__ import annotations

import ctypes
import mmap
from typing import Final


class Tally:
    """A number in memory that copies of the process share, so that who waits for one can tell how far it is."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ctypes.sizeof(ctypes.c_uint64))
        self._count = ctypes.c_uint64.from_buffer(self._memory)

    def add(self) -> None:
        """Count one more; two processes at once may lose one, which a line of progress can bear."""
        self._count.value += 1

    @property
    def executions(self) -> int:
        """How many there were."""
        return self._count.value


TALLY: Final = Tally()
