import pytest

from napari_alseg.settings import QuerySettings
from napari_alseg.systems import (
    ACQUISITIONS,
    CHOICES,
    PARTITIONS,
    RECIPES,
)
from napari_alseg.systems.resolve import resolve
from napari_alseg.systems.table import SYSTEMS

ASKED_FOR = (
    "random random-foreground entropy margin bvsb bald entropy-edge sp sp-crf "
    "class-sp-crf equal deal-ds deal-de ripu-ra ripu-pa coreset full"
).split()


def named(row):
    return row.name


def test_every_published_way_to_ask_is_a_row():
    assert set(ASKED_FOR) <= set(SYSTEMS)


@pytest.mark.parametrize("row", SYSTEMS.values(), ids=named)
def test_a_system_is_made_of_known_parts_that_go_together(row):
    query = resolve(QuerySettings(row.name))
    assert query.system is row
    assert query.partition is PARTITIONS[row.partition]
    assert query.acquisition is ACQUISITIONS[row.acquisition]
    assert query.choice is CHOICES[row.choice]
    assert set(row.defaults) <= set(query.values)
    assert row.recipe in RECIPES
    assert row.sentence.endswith(".")


def test_the_defaults_are_those_of_the_sources():
    def values(name, *wanted):
        query = resolve(QuerySettings(name)).record()
        return [query[each] for each in wanted]

    assert values("equal", "partition", "rows", "columns") == ["grid", 5, 5]
    assert values("deal-de", "partition", "bins", "pool_share") == ["image", 8, 0.5]
    assert values("deal-de", "fixed_bins") == [False]
    assert values("ripu-ra", "partition", "window", "radius") == ["windows", 1, 1]
    assert values("ripu-pa", "partition", "radius", "exclusion") == ["pixels", 32, 32]
    assert values("bald", "passes", "dropout") == [10, 0.2]
    assert values("sp", "choice") == ["per-image"]
    assert values("class-sp-crf", "choice") == ["class-quota"]
