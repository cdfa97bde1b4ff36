import math
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch
from conftest import prediction_of

from napari_alseg import acquisition
from napari_alseg.settings import QuerySettings
from napari_alseg.systems import (
    ACQUISITIONS,
    CHOICES,
    PARTITIONS,
    look_up,
    maps,
)
from napari_alseg.systems.resolve import resolve
from napari_alseg.systems.table import SYSTEMS, system

WITH_FUNCTION = [row for row in ACQUISITIONS.values() if row.function]


def named(row):
    return row.name


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


def test_looking_up():
    assert look_up("system", "equal", SYSTEMS) is system("equal")
