import io
import sys
from collections.abc import Iterator
from threading import Thread

import pytest

from semisynth.training.progress import Steps, track


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of the error stream; no fixture: pytest would undo it."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def test_items_come_through_in_order_and_one_line_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track("abc", "letters")) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert captured.err == "letters: 3/3\n"
    assert captured.out == ""


def test_lines_come_at_most_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    for _ in track(range(20), "work", clock=clock):
        clock.now += 1
    assert capsys.readouterr().err.splitlines() == ["work: 5/20", "work: 10/20", "work: 15/20", "work: 20/20"]


def test_slow_steps_give_a_line_each_and_the_last_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    for _ in track(range(2), "work", clock=clock):
        clock.now += 60
    assert capsys.readouterr().err.splitlines() == ["work: 1/2", "work: 2/2"]


def tracked_in_a_thread() -> list[str]:
    seen: list[str] = []
    thread = Thread(target=lambda: seen.extend(track("ab", "letters")))
    thread.start()
    thread.join()
    return seen


def test_a_thread_beside_the_main_one_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    assert tracked_in_a_thread() == ["a", "b"]
    assert terminal.getvalue() == ""


def test_a_thread_beside_the_main_one_prints_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert tracked_in_a_thread() == ["a", "b"]
    assert capsys.readouterr().err == "letters: 2/2\n"


def test_unknown_and_given_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(iter("ab"), "unknown")) == ["a", "b"]
    assert list(track(iter("ab"), "given", 2)) == ["a", "b"]
    assert list(track([], "nothing")) == []
    assert capsys.readouterr().err.splitlines() == ["unknown: 2", "given: 2/2"]


def test_steps_count_in_strides_and_show_the_note(capsys: pytest.CaptureFixture[str]) -> None:
    with Steps("training", 100) as steps:
        steps.advance(60, "loss 0.5")
        steps.advance(40, "loss 0.25")
    assert capsys.readouterr().err == "training: 100/100  loss 0.25\n"


def test_an_error_passes_and_leaves_no_final_line(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(track(broken(), "work", 9))
    assert capsys.readouterr().err == ""


def test_a_loop_left_early_leaves_no_final_line(capsys: pytest.CaptureFixture[str]) -> None:
    items = track([1, 2, 3], "work")
    assert next(items) == 1
    items.close()
    assert capsys.readouterr().err == ""


def test_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with Steps("training [bold]", 4) as steps:
        steps.advance(4, "loss 0.5")
    shown = terminal.getvalue()
    assert "training [bold]" in shown
    assert "4/4" in shown
    assert "loss 0.5" in shown
    assert "\x1b[" in shown


def test_bars_nest_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    for arm in track(["one", "two"], "arms"):
        for _ in track(iter(range(3)), f"cnn on {arm}"):
            pass
    shown = terminal.getvalue()
    assert "cnn on two" in shown
    assert "3/?" in shown
    assert "2/2" in shown


def test_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    assert list(track([1], "work")) == [1]
    assert terminal.getvalue() == "work: 1/1\n"
