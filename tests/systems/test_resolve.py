import json
import math
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch
from conftest import prediction_of

from napari_alseg import acquisition
from napari_alseg.errors import BadValue, UnknownName
from napari_alseg.settings import QuerySettings
from napari_alseg.systems import (
    ACQUISITIONS,
    CHOICES,
    PARTITIONS,
    RECIPES,
    look_up,
    maps,
)
from napari_alseg.systems.describe import described, scoring_cost
from napari_alseg.systems.resolve import PARAMETERS, parameters, resolve
from napari_alseg.systems.table import SYSTEMS, system

ASKED_FOR = (
    "random random-foreground entropy margin bvsb bald entropy-edge sp sp-crf "
    "class-sp-crf equal deal-ds deal-de ripu-ra ripu-pa coreset full"
).split()
WITH_FUNCTION = [row for row in ACQUISITIONS.values() if row.function]


def named(row):
    return row.name


# --- the tables -----------------------------------------------------------------------


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


@pytest.mark.parametrize("row", SYSTEMS.values(), ids=named)
def test_a_system_can_be_described_in_json(row):
    about = json.loads(json.dumps(described(row)))
    assert about["cost"]
    assert about["parameters"] == resolve(QuerySettings(row.name)).values


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


@pytest.mark.parametrize("table", [PARTITIONS, ACQUISITIONS, CHOICES])
def test_parameters_are_fields_of_the_settings(table):
    known = {entry.name for entry in fields(QuerySettings)}
    for row in table.values():
        assert set(row.settings) <= known
        assert row.sentence.endswith(".")


@pytest.mark.parametrize("row", ACQUISITIONS.values(), ids=named)
def test_terms_are_acquisitions_of_pixels(row):
    assert all(ACQUISITIONS[term].of == "pixels" for term in row.terms)


def test_names_are_those_of_the_functions():
    assert {row.function for row in WITH_FUNCTION} <= set(acquisition.__all__)


def test_the_table_is_read_without_torch():
    code = "import sys, napari_alseg.systems; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- scoring --------------------------------------------------------------------------


@pytest.mark.parametrize("row", WITH_FUNCTION, ids=named)
def test_an_acquisition_scores_finitely(row):
    score = row.score(prediction_of(torch.rand(4, 6, 8).softmax(0)))
    assert score.shape == ((6, 8) if row.of == "pixels" else ())
    assert score.isfinite().all()


@pytest.mark.parametrize("name", maps())
def test_a_sure_image_is_asked_later_than_an_unsure_one(name):
    sure = torch.zeros(3, 5, 5)
    sure[0] = 1
    unsure = torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(0)).softmax(0)
    low, high = (ACQUISITIONS[name].score(prediction_of(p)) for p in (sure, unsure))
    assert low.max() < high.mean()


def test_the_bins_of_difficulty_can_be_fixed():
    easy = torch.linspace(0.1, 0.12, 8)[None]
    prediction = replace(prediction_of(torch.rand(2, 1, 8).softmax(0)), difficulty=easy)
    row = ACQUISITIONS["difficulty-entropy"]
    scores = [
        float(row.score(prediction, resolve(QuerySettings("deal-de", fixed_bins=on))))
        for on in (False, True)
    ]
    assert scores[0] == pytest.approx(math.log(8))
    assert scores[1] == 0


def test_an_acquisition_takes_its_parameters_from_a_query_that_asks_by_it():
    ripu, entropy = ACQUISITIONS["ripu"], ACQUISITIONS["entropy"]
    query = resolve(QuerySettings("ripu-ra", radius=7))
    assert ripu.values(query) == {"radius": 7}
    assert ACQUISITIONS["impurity"].values(query) == {"radius": 7}  # its term
    assert ACQUISITIONS["ripu-pixel"].values(query) == {"radius": 32}  # its own
    assert ripu.values() == {"radius": 1}
    assert entropy.values(query) == {}


@pytest.mark.parametrize("row", SYSTEMS.values(), ids=named)
def test_only_what_is_needed_costs_anything(row):
    query = resolve(QuerySettings(row.name))
    needed = query.needs
    cost = scoring_cost(query)
    assert ("nothing" == cost) == (not needed)
    assert ("2 passes" in cost) == ("mirrored" in needed)
    assert ("11 passes" in cost) == ("samples" in needed)
    assert ("CRF" in cost) == ("refined" in needed)


# --- resolving -----------------------------------------------------------------------


def test_parts_and_parameters_mix_freely():
    mixed = resolve(
        QuerySettings("equal", partition="superpixels", acquisition="ripu", radius=3)
    )
    assert (mixed.partition.name, mixed.choice.name) == ("superpixels", "top")
    assert (mixed.values["radius"], mixed.values["region_size"]) == (3, 400)
    assert "rows" not in mixed.values


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_query_survives_settings_and_json(name):
    once = resolve(QuerySettings(name, "7 images" if name == "full" else "3%", 7))
    assert resolve(once.settings) == once
    kept = json.loads(json.dumps(once.record()))
    assert kept["seed"] == 7
    assert resolve(QuerySettings(**kept)) == once


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


def test_looking_up():
    assert look_up("system", "equal", SYSTEMS) is system("equal")
