"""A cache that is limited by bytes, not by entries."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """Values by key up to a limit; the longest unused go first.

    Several threads may use it at once.

    Parameters
    ----------
    limit : int
        Most bytes that are kept.
    size : callable
        Bytes of a value.
    least : int
        Entries that stay even if they are larger than the limit.

    Examples
    --------
    >>> cache = ByteCache(limit=100, size=len)
    >>> cache.put("a", bytes(40))
    >>> cache.put("b", bytes(80))
    >>> cache.get("a") is None, cache.bytes
    (True, 80)
    """

    def __init__(self, limit: int, size: Callable[[V], int], least: int = 0) -> None:
        self.limit = limit
        self.bytes = 0
        self._size = size
        self._least = least
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()
        self._sparing = False

    def get(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value; the longest unused go where there is no room."""
        size = self._size(value)
        with self._lock:
            if self._sparing and self.bytes + size > self.limit:
                return
            self._drop(key)
            self._kept[key] = value
            self.bytes += size
            while self.bytes > self.limit and len(self._kept) > self._least:
                self._drop(next(iter(self._kept)))

    @contextmanager
    def sparing(self) -> Iterator[None]:
        """Within, nothing goes to make room.

        Whoever passes over more values than there is room for, again and again, would
        else always find those gone that come next.
        """
        before, self._sparing = self._sparing, True
        try:
            yield
        finally:
            self._sparing = before

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self.bytes = 0

    def _drop(self, key: K) -> None:
        if key in self._kept:
            self.bytes -= self._size(self._kept.pop(key))
