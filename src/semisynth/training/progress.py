"""Progress of long work on the error stream: a bar on a terminal, now and then a plain line elsewhere."""

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Protocol, Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 5.0

Item = TypeVar("Item")


class _Display(Protocol):
    def show(self, done: int, note: str) -> None: ...

    def close(self, *, finished: bool) -> None: ...


class Steps:
    """Counts steps of work that is called `title`; a context manager.

    `total` is the number of steps, None if unknown. `clock` gives seconds. An exception inside the block
    closes the display where it stands. On a terminal nothing is shown outside the main thread: bars would mingle.
    """

    def __init__(self, title: str, total: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self.total, self.done = title, total, 0
        self._clock = clock

    def __enter__(self) -> Self:
        if not sys.stderr.isatty() or _terminal().is_dumb_terminal:
            self._display: _Display = _Lines(self.title, self.total, self._clock)
        elif threading.current_thread() is threading.main_thread():
            self._display = _Bar(self.title, self.total)
        else:
            self._display = _Nothing()
        return self

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more steps as done; `note` is shown beside the count, as a loss."""
        self.done += n
        self._display.show(self.done, note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.close(finished=kind is None)


def track(
    iterable: Iterable[Item],
    title: str,
    total: int | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Item]:
    """Yield the items of `iterable` and show how many are done; `total` is needed where it has no length."""
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    with Steps(title, total, clock=clock) as steps:
        for item in iterable:
            yield item
            steps.advance()


class _Nothing:
    def show(self, done: int, note: str) -> None:
        pass

    def close(self, *, finished: bool) -> None:
        pass


class _Lines:
    """Prints `title: 3/10` at most every few seconds, and once at the end."""

    def __init__(self, title: str, total: int | None, clock: Callable[[], float]) -> None:
        self._title, self._clock = title, clock
        self._of = "" if total is None else f"/{total}"
        self._last, self._line, self._printed = clock(), "", ""

    def show(self, done: int, note: str) -> None:
        self._line = f"{self._title}: {done}{self._of}{'  ' if note else ''}{note}"
        if self._clock() - self._last >= SECONDS_BETWEEN_LINES:
            self._print()

    def close(self, *, finished: bool) -> None:
        if finished and self._line != self._printed:
            self._print()

    def _print(self) -> None:
        print(self._line + "\n", end="", file=sys.stderr, flush=True)  # in one piece, as other threads print too
        self._last, self._printed = self._clock(), self._line


class _Bar:
    """A bar that moves; bars inside of each other stand on lines of their own."""

    def __init__(self, title: str, total: int | None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.fields[of]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=_terminal(),
        )
        of = "?" if total is None else str(total)
        self._task = self._progress.add_task(title, total=total, of=of, note="")
        self._progress.start()

    def show(self, done: int, note: str) -> None:
        self._progress.update(self._task, completed=done, note=note)

    def close(self, *, finished: bool) -> None:
        self._progress.stop()


@functools.cache
def _terminal() -> Console:
    """Give all bars one console: rich draws nested bars in order on the same console only."""
    return Console(stderr=True)
