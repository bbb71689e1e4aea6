"""Several trainings at once, each on its share of the cores: small ones end sooner so than by turns on all."""

import os
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.pool import ThreadPool
from threading import Event
from typing import TypeVar

import tensorflow as tf

MOST_AT_ONCE = 4  # each holds its images as numbers of 4 bytes, an SVM up to a gigabyte of its kernel

Result = TypeVar("Result")


def share_cores() -> None:
    """Let each operation of TensorFlow use one task's share of the cores; without effect once it has begun."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(cores() // at_once())
    except RuntimeError:
        return


def side_by_side(tasks: Mapping[str, Callable[[], Result]]) -> Iterator[tuple[str, Result]]:
    """Run the tasks in threads, begun in their order; yield each key with what its task returns, when it is there.

    Threads, as the libraries let go of Python's lock. At an error no further task is begun, and those that run are
    awaited, so that what they finish is kept; an interruption leaves them behind, and they end with the process.
    """
    failed = Event()

    def run(item: tuple[str, Callable[[], Result]]) -> tuple[str, Result]:
        key, task = item
        if failed.is_set():
            raise RuntimeError(f"{key}: not begun")  # comes after the error that failed, which alone is seen
        try:
            return key, task()
        except Exception:
            failed.set()
            raise

    with ThreadPool(at_once()) as pool:
        try:
            yield from pool.imap_unordered(run, tasks.items())
        except Exception:
            pool.terminate()
            pool.join()
            raise


def at_once() -> int:
    """How many tasks run at a time."""
    return min(cores(), MOST_AT_ONCE)


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
