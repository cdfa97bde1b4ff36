import threading
from functools import partial
from itertools import count, islice

import pytest

from napari_alseg.prefetch import prefetch


def calls(numbers, taken=None):
    for number in numbers:
        if taken is not None:
            taken.append(number)
        yield partial(abs, -number)


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_however_many_threads_work(threads):
    found = list(prefetch(calls(range(9)), threads, most=4))
    assert found == list(range(9))


def test_a_later_call_may_end_first():
    """The first call waits for the second one, which so must run beside it."""
    other_ran = threading.Event()

    def first():
        return other_ran.wait(60)

    found = prefetch([first, lambda: other_ran.set()], threads=2, most=2)
    assert list(found) == [True, None]


def test_no_more_calls_are_taken_than_may_wait():
    taken = []
    found = prefetch(calls(count(), taken), threads=2, most=3)
    assert list(islice(found, 5)) == [0, 1, 2, 3, 4]
    assert len(taken) == 3 + 4
    found.close()
    assert len(taken) == 3 + 4


def test_closing_ends_the_threads():
    before = threading.active_count()
    found = prefetch(calls(count()), threads=2, most=3)
    next(found)
    assert threading.active_count() > before
    found.close()
    assert threading.active_count() == before


def test_the_error_of_a_call_comes_where_its_result_would():
    found = prefetch([lambda: 1, lambda: 1 // 0, lambda: 3], threads=1, most=3)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_no_calls_have_no_results():
    assert list(prefetch([], threads=1, most=1)) == []
