"""SIGTERM and SIGHUP end a command as Ctrl-C does: finished work is kept, and the exit code names the signal."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A batch system or a shell may send a signal to a process and to its group: the second one arrives at once.
_ONCE_IN_SECONDS = 2.0


class Terminated(KeyboardInterrupt):
    """The process was told to end.

    Parameters
    ----------
    number : int
        Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """Return the exit code of an interrupted command: 128 and the number of the signal.

    >>> exit_code(KeyboardInterrupt())
    130
    """
    return 128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise :class:`Terminated` in the main thread.

    Signals that are ignored stay ignored: `nohup` asks for that. In another thread, nothing is changed, because only
    the main thread may set handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last: dict[int, float] = {}

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        now = time.monotonic()
        if now - last.get(number, -_ONCE_IN_SECONDS) >= _ONCE_IN_SECONDS:
            last[number] = now
            raise Terminated(number)

    names = ("SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    changed = [number for number in numbers if before[number] == signal.SIG_DFL]
    for number in changed:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])
