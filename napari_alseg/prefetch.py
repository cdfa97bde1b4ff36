"""Results of calls, made ahead of their use."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(
    calls: Iterable[Callable[[], T]], threads: int, most: int
) -> Generator[T, None, None]:
    """Yield the results of calls in their order, made in threads.

    Calls are taken from the iterable only as they are needed. Closing the generator
    ends its threads.

    Parameters
    ----------
    calls : iterable of callables
        May be endless.
    threads : int
        Calls that run at once.
    most : int
        Results that are made or being made, above zero; it bounds the memory.

    Examples
    --------
    >>> list(prefetch([lambda: 1, lambda: 2, lambda: 3], threads=2, most=2))
    [1, 2, 3]
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads, "prefetch") as pool:
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) == most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
