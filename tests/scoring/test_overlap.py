import threading
import time

import pytest

from semisynth.scoring.overlap import ahead


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
