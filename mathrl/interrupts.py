"""Ctrl-C at a safe point: work that must not be cut in half defers it to its end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Hold one Ctrl-C back until the block ends, then raise it; a second one is not held.

    Outside the main thread, where no signal arrives, and where Ctrl-C is ignored (``nohup``), the
    block runs as it is.
    """
    previous = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or previous in (signal.SIG_IGN, None):
        yield
        return
    pending = False

    def hold(signum: int, frame: FrameType | None) -> None:
        nonlocal pending
        pending = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if pending:
        if not callable(previous):
            raise KeyboardInterrupt
        previous(signal.SIGINT, None)


@contextmanager
def noted_interrupts(*, is_on: bool) -> Iterator[Callable[[], bool]]:
    """Only note Ctrl-C, however often it is pressed; the block asks whether it was.

    For processes that must all stop at the same point. Off, Ctrl-C raises as ever.
    """
    previous = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_on or not is_main or previous in (signal.SIG_IGN, None):
        yield lambda: False
        return
    is_pressed = False

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal is_pressed
        is_pressed = True

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: is_pressed
    finally:
        signal.signal(signal.SIGINT, previous)
