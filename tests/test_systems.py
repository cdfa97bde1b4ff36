import subprocess
import sys

import pytest
import torch

from napari_alseg import acquisition
from napari_alseg.arrays import Prediction
from napari_alseg.errors import UnknownName
from napari_alseg.systems import ACQUISITIONS, SYSTEMS, look_up, system


@pytest.mark.parametrize("row", SYSTEMS.values(), ids=lambda row: row.name)
def test_a_system_is_made_of_known_parts(row):
    assert row.acquisition is None or row.acquisition in ACQUISITIONS
    assert row.sentence.endswith(".")


@pytest.mark.parametrize("row", ACQUISITIONS.values(), ids=lambda row: row.name)
def test_an_acquisition_scores_each_pixel_finitely(row):
    probability = torch.rand(4, 6, 8).softmax(0)
    score = row.score(Prediction(probability))
    assert score.shape == (6, 8)
    assert score.isfinite().all()


@pytest.mark.parametrize("row", ACQUISITIONS.values(), ids=lambda row: row.name)
def test_a_sure_pixel_is_asked_later_than_an_unsure_one(row):
    sure = torch.tensor([0.98, 0.01, 0.01])
    unsure = torch.tensor([0.4, 0.35, 0.25])
    score = row.score(Prediction(torch.stack([sure, unsure], 1)[:, None]))
    assert score[0, 0] < score[0, 1]


def test_names_are_those_of_the_functions():
    assert {row.function for row in ACQUISITIONS.values()} <= set(acquisition.__all__)


def test_an_unknown_system_is_refused_with_the_known_ones():
    with pytest.raises(UnknownName, match="did you mean 'entropy'"):
        system("entropyy")
    with pytest.raises(UnknownName, match="unknown acquisition"):
        look_up("acquisition", "x", ACQUISITIONS)


def test_the_table_is_read_without_torch():
    code = "import sys, napari_alseg.systems; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
