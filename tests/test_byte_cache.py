from concurrent.futures import ThreadPoolExecutor

import pytest

from napari_alseg.byte_cache import ByteCache


@pytest.fixture
def cache():
    return ByteCache(limit=100, size=len)


def are_kept(cache, keys):
    return [cache.get(key) is not None for key in keys]


def test_the_longest_unused_go_first_when_the_limit_is_reached(cache):
    for key in "abc":
        cache.put(key, bytes(30))
    assert cache.get("a") is not None  # used just now
    cache.put("d", bytes(30))
    assert are_kept(cache, "abcd") == [True, False, True, True]
    assert cache.bytes == 90


def test_what_is_put_again_is_counted_once(cache):
    cache.put("a", bytes(60))
    cache.put("a", bytes(70))
    assert cache.bytes == 70
    assert len(cache.get("a")) == 70


def test_what_is_larger_than_the_limit_is_not_kept(cache):
    cache.put("a", bytes(101))
    assert (cache.get("a"), cache.bytes) == (None, 0)
    cache.put("b", bytes(100))
    assert cache.bytes == 100


def test_so_many_stay_however_large_they_are():
    cache = ByteCache(limit=100, size=len, least=1)
    cache.put("a", bytes(60))
    cache.put("b", bytes(300))
    assert are_kept(cache, "ab") == [False, True]
    cache.put("c", bytes(10))
    assert are_kept(cache, "bc") == [False, True]
    assert cache.bytes == 10


def test_while_sparing_nothing_goes_to_make_room(cache):
    cache.put("a", bytes(60))
    with cache.sparing():
        cache.put("b", bytes(60))
        cache.put("c", bytes(40))
        with cache.sparing():
            pass
        cache.put("d", bytes(1))
    assert are_kept(cache, "abcd") == [True, False, True, False]
    cache.put("b", bytes(60))  # from now on as before
    assert cache.get("a") is None


def test_a_cleared_cache_is_empty(cache):
    cache.put("a", bytes(60))
    cache.clear()
    assert (cache.get("a"), cache.bytes) == (None, 0)


def test_threads_do_not_upset_the_count(cache):
    def use(number):
        for step in range(500):
            key = (number + step) % 7
            cache.put(key, bytes(10 + key))
            assert len(cache.get(key) or bytes(10 + key)) == 10 + key

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    kept = [cache.get(key) for key in range(7)]
    assert cache.bytes == sum(len(each) for each in kept if each is not None) <= 100
