import pytest
import torch

from napari_alseg.errors import BadValue, UnknownName
from napari_alseg.segmentation import device
from napari_alseg.segmentation.device import available, choose_device, half_precision


def test_auto_takes_the_fastest(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert available() == ["cuda", "mps", "cpu"]
    assert choose_device("auto") == torch.device("cuda")


def test_a_device_that_is_absent_says_what_is_there(monkeypatch):
    monkeypatch.setattr(device, "available", lambda: ["cpu"])
    with pytest.raises(BadValue, match=r"'cuda' was asked for, but .* only cpu"):
        choose_device("cuda")


def test_an_unknown_device_lists_the_known_ones():
    with pytest.raises(UnknownName, match="did you mean 'cuda'"):
        choose_device("cuda0")


def test_the_cpu_computes_in_full_precision():
    with half_precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
