import numpy as np
import pytest
import torch

from napari_alseg.segmentation import build, predict
from napari_alseg.settings import NetworkSettings, PredictionSettings

WHOLE = PredictionSettings(tile=512)
TILED = PredictionSettings(tile=64, overlap=16, batch_size=3)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)


def test_probability_of_the_images_size_sums_to_one(tiny_network, image):
    probability = predict(tiny_network, image, WHOLE).probability
    assert probability.shape == (3, 100, 150)
    assert probability.dtype == torch.float32
    torch.testing.assert_close(probability.sum(0), torch.ones(100, 150))


def test_it_is_the_softmax_of_the_networks_logits(tiny_network, image):
    tiny_network.eval()
    colours = torch.tensor(image).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        expected = tiny_network(colours)[0].softmax(0)
    torch.testing.assert_close(
        predict(tiny_network, image, WHOLE).probability, expected
    )


def test_tiles_give_what_the_whole_image_gives(tiny_network, image):
    whole = predict(tiny_network, image, WHOLE).probability
    tiled = predict(tiny_network, image, TILED).probability
    # This network sees two pixels around; only there do inner tile borders show,
    # and there the other tile has nearly all the weight.
    assert (whole - tiled).abs().max() < 0.05
    assert (whole - tiled).abs().mean() < 1e-3


def test_tiles_leave_no_seams(image):
    network = build(NetworkSettings(weights="random"), 3)
    smooth = np.repeat(np.linspace(0, 255, 150)[None, :, None], 100, 0).repeat(3, 2)
    tiled = predict(network, smooth.astype(np.uint8), TILED).probability
    whole = predict(network, smooth.astype(np.uint8), WHOLE).probability
    jump, usual = (each.diff(dim=1).abs().max() for each in (tiled, whole))
    assert jump < 3 * usual


def test_the_number_of_tiles_in_a_pass_does_not_matter(tiny_network, image):
    one = predict(tiny_network, image, PredictionSettings(64, 16, 1)).probability
    many = predict(tiny_network, image, PredictionSettings(64, 16, 8)).probability
    torch.testing.assert_close(one, many)


def test_the_mirrored_pass_lies_in_the_images_own_orientation(tiny_network, image):
    found = predict(tiny_network, image, TILED, mirrored=True)
    of_mirror = predict(tiny_network, image[:, ::-1], TILED).probability
    torch.testing.assert_close(found.mirrored, of_mirror.flip(-1))
    assert not torch.equal(found.mirrored, found.probability)
    assert predict(tiny_network, image, TILED).mirrored is None


def test_the_networks_mode_and_a_read_only_image_stay_as_they_are(tiny_network, image):
    image.flags.writeable = False
    tiny_network.train()
    predict(tiny_network, image, WHOLE)
    assert tiny_network.training
    assert tiny_network.body.encoder[1].num_batches_tracked == 0
