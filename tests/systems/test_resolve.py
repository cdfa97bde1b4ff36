from dataclasses import replace

import pytest

from napari_alseg.errors import BadValue, UnknownName
from napari_alseg.settings import QuerySettings
from napari_alseg.systems import (
    ACQUISITIONS,
    CHOICES,
    PARTITIONS,
)
from napari_alseg.systems.resolve import PARAMETERS, parameters, resolve

# --- the tables -----------------------------------------------------------------------


# --- scoring --------------------------------------------------------------------------


# --- resolving -----------------------------------------------------------------------


def test_parts_and_parameters_mix_freely():
    mixed = resolve(
        QuerySettings("equal", partition="superpixels", acquisition="ripu", radius=3)
    )
    assert (mixed.partition.name, mixed.choice.name) == ("superpixels", "top")
    assert (mixed.values["radius"], mixed.values["region_size"]) == (3, 400)
    assert "rows" not in mixed.values


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"system": "entropyy"}, "did you mean 'entropy'"),
        ({"partition": "hexagons"}, "unknown partition 'hexagons'.*superpixels"),
        ({"acquisition": "x"}, "unknown acquisition 'x'.*Known: bald"),
        ({"choice": "best"}, "unknown choice 'best'.*top"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(changes, says):
    with pytest.raises(UnknownName, match=says):
        resolve(replace(QuerySettings(), **changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"radius": 3}, "radius means nothing to entropy.*it takes pool_share"),
        ({"system": "ripu-ra", "radius": -1}, "radius must be from 0"),
        ({"system": "deal-de", "partition": "grid"}, "take the partition 'image'"),
        ({"partition": "windows", "acquisition": "core-set"}, "another partition"),
        ({"partition": "windows", "choice": "diverse"}, "'per-image' or 'top'"),
        ({"system": "coreset", "choice": "top"}, "take the choice 'diverse'"),
        ({"budget": "40"}, "a budget is an amount and a unit"),
        ({"system": "ripu-ra", "budget": "4 images"}, "not by images"),
        ({"pooling": "median"}, "pooling must be one of mean, top, max, sum"),
    ],
)
def test_what_does_not_go_together_is_refused_with_a_way_out(changes, says):
    with pytest.raises(BadValue, match=says):
        resolve(replace(QuerySettings(), **changes))


def test_parameters_come_in_the_order_of_the_settings():
    taken = parameters(
        PARTITIONS["superpixels"],
        ACQUISITIONS["crf-entropy"],
        CHOICES["class-stratified"],
    )
    assert list(taken) == [name for name in PARAMETERS if name in taken]
