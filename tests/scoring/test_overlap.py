import threading
import time

import pytest

from semisynth.scoring.overlap import ahead, mapped


def test_items_come_in_order_from_another_thread():
    seen = []

    def items():
        for number in range(20):
            seen.append(threading.current_thread())
            yield number

    assert list(ahead(items(), 3)) == list(range(20))
    assert set(seen) != {threading.current_thread()}


def test_no_more_than_so_many_items_wait():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    iterator = ahead(items(), 2)
    assert next(iterator) == 0
    time.sleep(0.3)
    assert len(made) <= 4  # one taken, two waiting, one in hand
    iterator.close()


def test_an_error_is_raised_where_the_items_are_used():
    def items():
        yield 1
        raise KeyError("broken")

    iterator = ahead(items())
    assert next(iterator) == 1
    with pytest.raises(KeyError, match="broken"):
        next(iterator)


def test_leaving_the_loop_ends_the_threads():
    before = threading.active_count()
    ended = []

    def items():
        try:
            yield from range(1000)
        finally:
            ended.append(True)

    for number in ahead(ahead(items(), 2), 2):
        if number == 3:
            break
    del number
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
    assert ended == [True]


def test_mapped_keeps_the_order_whichever_thread_is_first():
    both = threading.Barrier(2, timeout=10)

    def slower_for_even(number):
        both.wait()  # passes where two items are worked on at a time alone
        if number % 2 == 0:
            time.sleep(0.02)
        return -number

    assert list(mapped(range(10), slower_for_even, 2)) == [-number for number in range(10)]


def test_mapped_takes_no_more_items_than_it_has_threads_ahead():
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    results = mapped(items(), lambda number: number, 3)
    assert next(results) == 0
    assert taken == [0, 1, 2, 3]
    results.close()


def test_an_error_of_the_work_comes_after_the_results_before_it():
    def fails_at_three(number):
        if number == 3:
            raise KeyError("three")
        return number

    results = mapped(range(100), fails_at_three, 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="three"):
        next(results)


def test_an_error_of_the_items_comes_after_all_their_results():
    def items():
        yield from range(5)
        raise OSError("unplugged")

    results = mapped(items(), lambda number: number, 3)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="unplugged"):
        next(results)


def test_closing_mapped_awaits_what_was_begun_and_takes_nothing_more():
    before = threading.active_count()
    taken, ended = [], []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    def work(number):
        time.sleep(0.05)
        ended.append(number)

    results = mapped(items(), work, 2)
    next(results)
    results.close()
    assert threading.active_count() == before
    assert sorted(ended) == taken == [0, 1, 2]
