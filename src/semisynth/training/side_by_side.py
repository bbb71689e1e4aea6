"""Several tasks at once: small trainings and batches end sooner so than one after the other, each on all cores."""

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.pool import ThreadPool
from typing import TypeVar

import tensorflow as tf

MOST_AT_ONCE = 4  # each holds its images as numbers of 4 bytes, an SVM up to a gigabyte of its kernel

Result = TypeVar("Result")


class _StoppedError(Exception):
    """A task failed, or was not begun as another one failed."""


def share_cores() -> None:
    """Keep each operation of TensorFlow on one core where tasks are enough for all; no effect once it computes."""
    if cores() == at_once():
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def side_by_side(
    tasks: Mapping[str, Callable[[], Result]], most: int | None = None
) -> Iterator[tuple[str, Result]]:
    """Run the tasks in threads, begun in their order; yield each key with what its task returns, when it is there.

    `most` at a time, by default `at_once()`; give more where the last of a few long tasks would leave a core idle.
    Threads, as the libraries let go of Python's lock. At an error no further task is begun, and those that run are
    awaited, so that what they finish is kept; an interruption leaves them behind, and they end with the process.
    """
    errors: list[BaseException] = []
    running: set[str] = set()
    atexit.register(_leave, running)

    def run(item: tuple[str, Callable[[], Result]]) -> tuple[str, Result]:
        key, task = item
        if not errors:
            running.add(key)
            try:
                return key, task()
            except BaseException as error:  # a pool waits for ever for a thread that ended by another one
                errors.append(error)
            finally:
                running.discard(key)
        raise _StoppedError

    with ThreadPool(at_once() if most is None else most) as pool:
        try:
            yield from pool.imap_unordered(run, tasks.items())
        except _StoppedError:
            pool.terminate()
            pool.join()
            raise errors[0] from None


def _leave(running: set[str]) -> None:
    """End the process here, as an interrupted one, where threads still compute: TensorFlow would abort it.

    They do only where the caller did not wait for them, and with that it was interrupted.
    """
    if running:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(128 + signal.SIGINT)


def at_once() -> int:
    """How many tasks run at a time."""
    return min(cores(), MOST_AT_ONCE)


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
