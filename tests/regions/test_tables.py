import numpy as np
import pytest

from napari_alseg.arrays import Scored
from napari_alseg.errors import BadValue
from napari_alseg.settings import default
from napari_alseg.systems import CHOICES, PARTITIONS, Partition
from napari_alseg.systems.parts import Choice

COUNT = 30


MAKES_REGIONS = [row for row in PARTITIONS.values() if not row.found_by_scores]


VALUES = {"region_size": 40, "segment_size": 20, "rows": 3, "columns": 4}


def named(row):
    return row.name


def values(row):
    return {name: VALUES.get(name, default(name)) for name in row.settings}


@pytest.fixture
def scored(rng):
    """Thirty regions of three images and three classes."""
    return Scored(
        score=rng.random(COUNT),
        informed=True,
        cost=np.ones(COUNT),
        pixels=rng.integers(5, 50, COUNT),
        image=np.repeat([0, 1, 2], COUNT // 3),
        probability=rng.dirichlet(np.ones(3), COUNT).astype(np.float32),
        features=rng.random((COUNT, 4)).astype(np.float32),
        known=rng.random((2, 4)).astype(np.float32),
        centre=rng.integers(0, 100, (COUNT, 2)),
    )


@pytest.mark.parametrize("row", MAKES_REGIONS, ids=named)
def test_a_partition_numbers_every_pixel_densely(row, drawn):
    image = drawn[0].image
    region_map = row.maker(values(row))(image)
    assert region_map.dtype == np.int32
    assert region_map.shape == image.shape[:2]
    assert np.array_equal(np.unique(region_map), np.arange(1, region_map.max() + 1))
    assert (region_map.max() == 1) == row.whole_images


def test_a_partition_without_a_function_is_no_whole_image():
    unknown = Partition("hexagons", "Six corners.")
    with pytest.raises(BadValue, match="'hexagons' has no function"):
        unknown.maker({})


@pytest.mark.parametrize("row", CHOICES.values(), ids=named)
def test_a_choice_takes_different_rows_within_the_limit(row, scored):
    taken = row.choose(scored, 9, values(row), np.random.default_rng(0))
    again = row.choose(scored, 9, values(row), np.random.default_rng(0))
    assert len(set(taken.tolist())) == len(taken)
    assert len(taken) == (COUNT if row.takes_all else 9)
    assert set(taken.tolist()) <= set(range(COUNT))
    assert np.array_equal(taken, again)


def test_a_choice_that_is_unknown_is_not_the_highest_scores(scored):
    row = Choice("lowest", "The lowest scores.", "lowest")
    with pytest.raises(AttributeError, match="lowest"):
        row.choose(scored, 9, {}, np.random.default_rng(0))
