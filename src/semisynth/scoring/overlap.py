"""Work that runs ahead of its consumer, in threads of its own, a few items and no more."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
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


def mapped(items: Iterable[Item], work: Callable[[Item], Result], workers: int) -> Generator[Result, None, None]:
    """Yield `work` of each item, in the items' order, from as many threads as there are `workers`.

    At most so many items are taken ahead. An exception, of `work` or of `items`, is raised after the results of
    all items before it. Then, or when the iterator is closed, what was begun is awaited.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for result in _begun(items, work, pool):
            waiting.append(result)
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _begun(
    items: Iterable[Item], work: Callable[[Item], Result], pool: ThreadPoolExecutor
) -> Iterator[Future[Result]]:
    """The results of the items to be; where `items` fails, the last one is its exception."""
    try:
        for item in items:
            yield pool.submit(work, item)
    except Exception as error:
        failed: Future[Result] = Future()
        failed.set_exception(error)
        yield failed
