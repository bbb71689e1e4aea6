import sys
from functools import partial
from threading import Barrier, Event
from time import sleep

import pytest
import tensorflow as tf

from semisynth.training import side_by_side as module
from semisynth.training.side_by_side import side_by_side


def test_every_task_gives_its_result(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)
    assert dict(side_by_side({"a": lambda: 1, "b": lambda: 2, "c": lambda: 3})) == {"a": 1, "b": 2, "c": 3}


def test_tasks_run_at_the_same_time(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)
    both = Barrier(2, timeout=60)  # breaks where the first must end before the second begins
    assert set(dict(side_by_side({"a": both.wait, "b": both.wait})).values()) == {0, 1}


def test_more_may_run_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 1)
    both = Barrier(2, timeout=60)
    assert set(dict(side_by_side({"a": both.wait, "b": both.wait}, most=2)).values()) == {0, 1}


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (64, module.MOST_AT_ONCE)])
def test_no_more_at_once_than_cores_or_memory_allow(cores, expected, monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: cores)
    assert module.at_once() == expected


def test_on_one_core_tasks_run_in_their_order(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 1)
    begun = []
    tasks = {key: partial(begun.append, key) for key in "cab"}
    assert list(dict(side_by_side(tasks))) == begun == list("cab")


def test_at_an_error_what_runs_is_finished_and_nothing_else_begun(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)
    begun, failed, finished = Event(), Event(), []

    def fails():
        begun.wait(timeout=60)
        failed.set()
        raise ValueError("planted")

    def lasts():
        begun.set()
        failed.wait(timeout=60)
        sleep(0.3)  # the error has long arrived
        finished.append("lasts")

    tasks = {"fails": fails, "lasts": lasts, "late": partial(finished.append, "late")}
    with pytest.raises(ValueError, match="planted"):
        dict(side_by_side(tasks))
    assert finished == ["lasts"]


@pytest.fixture
def hooks(monkeypatch):
    """What runs at the end of the process; `os._exit` is a list's `append`."""
    hooks, exits = [], []
    monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setattr(module.atexit, "register", lambda *hook: hooks.append(hook))
    monkeypatch.setattr(module.os, "_exit", exits.append)

    def end():
        for leave, running in hooks:
            leave(running)
        return exits

    return end


def test_what_an_interruption_leaves_behind_ends_with_the_process(hooks):
    begun, ended = Event(), Event()

    def lasts():
        begun.set()
        ended.wait(timeout=60)

    results = side_by_side({"lasts": lasts, "short": lambda: begun.wait(timeout=60)})
    assert next(results) == ("short", True)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)
    assert hooks() == [130]
    ended.set()


def test_also_what_is_left_behind_while_it_is_awaited_after_an_error(hooks, monkeypatch):
    begun, ended = Event(), Event()

    def lasts():
        begun.set()
        ended.wait(timeout=60)

    def fails():
        begun.wait(timeout=60)
        raise ValueError("planted")

    def interrupted(pool):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.ThreadPool, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dict(side_by_side({"lasts": lasts, "fails": fails}))
    assert hooks() == [130]
    ended.set()


def test_a_process_whose_tasks_have_ended_ends_as_it_would(hooks):
    assert dict(side_by_side({"a": lambda: 1, "b": lambda: 2})) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="planted"):
        dict(side_by_side({"a": lambda: 1, "b": partial(int, "planted")}))
    assert hooks() == []


def test_also_an_exit_inside_a_task_arrives():
    with pytest.raises(SystemExit, match="3"):
        dict(side_by_side({"a": partial(sys.exit, 3), "b": lambda: 1}))


@pytest.mark.parametrize(("cores", "expected"), [(2, [1]), (64, [])])
def test_operations_keep_to_one_core_where_tasks_are_enough_for_all(cores, expected, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "cores", lambda: cores)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", asked.append)
    module.share_cores()
    assert asked == expected


def test_once_tensorflow_computes_its_threads_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)
    tf.zeros(1)
    before = tf.config.threading.get_intra_op_parallelism_threads()
    module.share_cores()
    assert tf.config.threading.get_intra_op_parallelism_threads() == before
