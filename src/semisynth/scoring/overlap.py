"""Work that runs ahead of its consumer, in a thread of its own, a few items and no more."""

from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
POLL_SECONDS = 0.1


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Ended(Generic[Item]):
    pass


def ahead(items: Iterable[Item], depth: int = 4) -> Generator[Item, None, None]:
    """Yield `items`, made in a background thread that is at most `depth` of them ahead.

    An exception of the thread is raised here. Closing the iterator, or leaving its loop, stops the thread.
    """
    queue: Queue[Item | _Failed | _Ended[Item]] = Queue(depth)
    stop = Event()

    def put(item: Item | _Failed | _Ended[Item]) -> bool:
        while not stop.is_set():
            try:
                queue.put(item, timeout=POLL_SECONDS)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_Ended())
        except BaseException as error:
            put(_Failed(error))
        finally:
            close = getattr(items, "close", None)
            if close:
                close()

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = queue.get(timeout=POLL_SECONDS)
            except Empty:
                continue  # a signal's handler runs between two waits
            if isinstance(item, _Ended):
                return
            if isinstance(item, _Failed):
                raise item.error
            yield item
    finally:
        stop.set()
        thread.join()
