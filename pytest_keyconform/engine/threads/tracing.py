"""Being told of each visible instruction before it runs: by `sys.settrace` on 3.11, by `sys.monitoring` later on."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from pytest_keyconform.engine.measuring import RESUMED, Stepping, gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType, FrameType

    from pytest_keyconform.engine.threads.visible import Scope

NAME = "pytest-keyconform"
_monitoring: Any = getattr(sys, "monitoring", None)  # None on 3.11
_FREE_IDS = (3, 4)  # of sys.monitoring: those that are reserved for nobody


class TracingUnavailable(Exception):
    """Another tool has taken what tracing needs; the text says which and what to do."""


class Tracer(Protocol):
    """Tells ``point`` of each visible instruction of what is traced."""

    def start(self) -> None:
        """Begin, for the whole process; raises `TracingUnavailable`."""

    def stop(self) -> None:
        """End, and leave nothing behind."""

    def enter_thread(self) -> None:
        """Begin in the calling thread."""

    def leave_thread(self) -> None:
        """End in the calling thread."""

    def learn(self, codes: Iterable[CodeType]) -> None:
        """Be told of code that will be run."""


class SettraceTracer:
    """Traces by `sys.settrace`, thread by thread; a tracer that was set before is back afterwards."""

    def __init__(self, scope: Scope, point: Callable[[], None]) -> None:
        self._scope = scope
        self._point = point
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        """Do nothing: it is begun thread by thread."""

    def stop(self) -> None:
        """Do nothing."""

    def learn(self, codes: Iterable[CodeType]) -> None:
        """Do nothing: code is met when it is called."""

    def enter_thread(self) -> None:
        """Begin in the calling thread."""
        sys.settrace(self._called)

    def leave_thread(self) -> None:
        """End in the calling thread."""
        sys.settrace(threading.gettrace())

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401, ARG002 - settrace's own
        if not self._scope.traces(frame.f_code.co_filename):
            return None
        measuring = gauge()
        frame.f_trace_lines = measuring is not None
        stepping = (
            None if measuring is None else Stepping(measuring, frame.f_code, frame.f_lineno, begins=_begins(frame))
        )
        frame.f_trace_opcodes = True
        visible, point, hides = self._scope.visible(frame.f_code), self._point, self._scope.hides

        def step(frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401, ARG001 - settrace's own
            if event == "opcode":
                held = visible.get(frame.f_lasti)
                if held is not None and not (held and hides(frame, held)):
                    point()
            elif stepping is not None:
                stepping.line(frame.f_lineno) if event == "line" else stepping.back()
            return step

        return step


def _begins(frame: FrameType) -> bool:
    """Tell whether a frame is called; else it goes on where it gave its turn away."""
    return frame.f_lasti <= 0 or not frame.f_code.co_flags & RESUMED


class MonitoringTracer:
    """Traces by `sys.monitoring`, whose events are set for each code object once."""

    def __init__(self, scope: Scope, point: Callable[[], None]) -> None:
        self._scope = scope
        self._point = point
        self._tool = -1
        self._codes: set[CodeType] = set()

    def start(self) -> None:
        """Take a free tool id; raises `TracingUnavailable` where there is none."""
        free = [one for one in _FREE_IDS if _monitoring.get_tool(one) is None]
        if not free:
            taken = ", ".join(str(_monitoring.get_tool(one)) for one in _FREE_IDS)
            message = f"sys.monitoring has no free tool id ({taken} hold them); run without them"
            raise TracingUnavailable(message)
        self._tool = free[0]
        _monitoring.use_tool_id(self._tool, NAME)
        _monitoring.register_callback(self._tool, _monitoring.events.PY_START, self._started)
        _monitoring.register_callback(self._tool, _monitoring.events.INSTRUCTION, self._instruction)
        _monitoring.set_events(self._tool, _monitoring.events.PY_START)

    def stop(self) -> None:
        """Give the tool id back."""
        if self._tool < 0:
            return
        _monitoring.set_events(self._tool, 0)
        for code in self._codes:
            _monitoring.set_local_events(self._tool, code, 0)
        self._codes.clear()
        _monitoring.register_callback(self._tool, _monitoring.events.PY_START, None)
        _monitoring.register_callback(self._tool, _monitoring.events.INSTRUCTION, None)
        _monitoring.free_tool_id(self._tool)
        self._tool = -1

    def learn(self, codes: Iterable[CodeType]) -> None:
        """Set the events of code before it is first run, so that the first execution meets them like any other."""
        for code in codes:
            self._set(code)

    def enter_thread(self) -> None:
        """Do nothing: events come from every thread."""

    def leave_thread(self) -> None:
        """Do nothing."""

    def _set(self, code: CodeType) -> None:
        if code not in self._codes:
            self._codes.add(code)
            _monitoring.set_local_events(self._tool, code, _monitoring.events.INSTRUCTION)

    def _started(self, code: CodeType, offset: int) -> Any:  # noqa: ANN401, ARG002 - sys.monitoring's own
        if self._scope.traces(code.co_filename):
            self._set(code)
        return _monitoring.DISABLE

    def _instruction(self, code: CodeType, offset: int) -> Any:  # noqa: ANN401 - sys.monitoring's own
        held = self._scope.visible(code).get(offset)
        if held is None:
            return _monitoring.DISABLE
        if not (held and self._scope.hides(sys._getframe(1), held)):  # noqa: SLF001 - the frame is not handed over
            self._point()
        return None


def tracer(scope: Scope, point: Callable[[], None]) -> Tracer:
    """Answer the tracer of this Python."""
    return MonitoringTracer(scope, point) if sys.version_info >= (3, 12) else SettraceTracer(scope, point)
