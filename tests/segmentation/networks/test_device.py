import numpy as np
import pytest
import torch

from napari_alseg.arrays import finish
from napari_alseg.errors import BadValue, UnknownName
from napari_alseg.segmentation import (
    Adaptation,
    Consistency,
    Difficulty,
    Pairwise,
    Partial,
    Rectified,
    TrainingRun,
    build,
    predict,
)
from napari_alseg.segmentation.networks import device
from napari_alseg.segmentation.networks.device import (
    available,
    choose_device,
    half_precision,
)
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    RecipeSettings,
    TrainingSettings,
)


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


def test_bfloat16_that_is_only_emulated_is_left_alone(monkeypatch):
    """As on metadata before Ampere, where it is slower than float32."""

    def supported(including_emulation=True):
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert not half_precision(torch.device("cuda"))._enabled


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "recipe",
    ["partial", "consistency", "difficulty", "adaptation", "pairwise", "rectified"],
)
def test_every_recipe_takes_a_step_on_a_gpu(recipe, compiled, examples):
    settings = TrainingSettings(
        epochs=1, batch_size=4, average=0.9, device="cuda", compile=compiled
    )
    kind = NetworkSettings(weights="random", difficulty=recipe == "difficulty")
    network = build(kind, 3)
    more = {"recipe": RecipeSettings()}
    objective = {
        "partial": lambda: Partial(examples, settings, **more),
        "consistency": lambda: Consistency(examples, settings, **more),
        "difficulty": lambda: Difficulty(examples, settings, **more),
        "adaptation": lambda: Adaptation(
            examples, settings, source=examples[:3], **more
        ),
        "pairwise": lambda: Pairwise(examples, settings, **more),
        "rectified": lambda: Rectified(
            examples[:3], examples[3:], build(kind, 3, seed=1), settings
        ),
    }[recipe]()
    run = TrainingRun(network, settings)
    finish(run.learn(objective, examples[:1]))
    assert run.ended
    assert np.isfinite(run.curve[-1].loss)
    found = predict(network, examples[0].image, PredictionSettings()).probability
    assert found.device.type == "cuda"
    assert found.isfinite().all()
