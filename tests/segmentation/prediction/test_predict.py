import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from napari_alseg.errors import BadValue
from napari_alseg.segmentation import (
    Network,
    build,
    predict,
    prepared,
    to_tensor,
)
from napari_alseg.segmentation.prediction.tiles import tiles
from napari_alseg.settings import NetworkSettings, PredictionSettings

WHOLE = PredictionSettings(tile=512)
TILED = PredictionSettings(tile=64, overlap=16, batch_size=3)

SAMPLES = {"needs": {"samples"}, "passes": 3, "dropout": 0.5}


class Pointwise(nn.Module):
    """A network that sees one pixel at a time: no border, no seam, no up and down."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 32, 1), nn.Dropout(0.1), nn.ReLU())
        self.head = nn.Conv2d(32, 3, 1)

    def forward(self, images):
        return self.head(self.encoder(images))


class Coarse(nn.Module):
    """Features of 8 x 8 pixels each: their mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.AvgPool2d(8))
        self.head = nn.Conv2d(3, 3, 1)

    def forward(self, images):
        logits = self.head(self.encoder(images))
        return nn.functional.interpolate(logits, scale_factor=8.0)


def network_of(body: nn.Module, stride: int = 1) -> Network:
    settings = NetworkSettings(difficulty=True)
    return Network(body, settings, 3, stride=stride).eval()


@pytest.fixture
def pointwise() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = network_of(Pointwise())
    with torch.no_grad():
        network.body.head.weight.mul_(10)
    return network


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
    found = predict(tiny_network, image, TILED, needs={"mirrored"})
    of_mirror = predict(tiny_network, image[:, ::-1], TILED).probability
    torch.testing.assert_close(found.mirrored, of_mirror.flip(-1))
    assert not torch.equal(found.mirrored, found.probability)


def test_the_networks_mode_and_a_read_only_image_stay_as_they_are(tiny_network, image):
    image.flags.writeable = False
    tiny_network.train()
    predict(tiny_network, image, WHOLE)
    assert tiny_network.training
    assert tiny_network.body.encoder[1].num_batches_tracked == 0


# --- what is needed, and no more ------------------------------------------------------


def count(module: nn.Module) -> list[int]:
    calls: list[int] = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


FIELDS = ("mirrored", "samples", "features", "difficulty", "refined", "edges")


@pytest.mark.parametrize(
    ("needs", "bodies", "branches"),
    [
        ((), 1, 0),
        (("probability",), 1, 0),
        (("mirrored",), 2, 0),
        (("features",), 1, 0),
        (("difficulty",), 1, 1),
        (("samples",), 4, 0),
        (("samples", "features", "difficulty", "mirrored"), 5, 1),
        (("refined", "edges"), 1, 0),
    ],
)
def test_only_what_is_needed_is_computed(pointwise, image, needs, bodies, branches):
    body, branch = count(pointwise.body), count(pointwise.difficulty)
    found = predict(pointwise, image, WHOLE, needs=needs, passes=3, dropout=0.2)
    assert (len(body), len(branch)) == (bodies, branches)
    for name in FIELDS:
        expected = name in needs and name not in ("refined", "edges")
        assert (getattr(found, name) is not None) == expected


@pytest.mark.parametrize(
    ("network", "encoder", "depth", "shape"),
    [
        ("deeplabv3plus", "mobilenet_v2", 256, (18, 25)),
        ("unet", "resnet18", 16, (70, 100)),
        ("torchvision/lraspp_mobilenet_v3_large", "", 128, (9, 13)),
    ],
)
@pytest.mark.parametrize("settings", [WHOLE, TILED], ids=["whole", "tiled"])
def test_networks_of_all_kinds_give_all_fields(
    image, network, encoder, depth, shape, settings
):
    requested = NetworkSettings(network, encoder, "random", difficulty=True)
    found = predict(
        build(requested, 5),
        image[:70, :100],
        settings,
        needs=("samples", "features", "difficulty", "mirrored"),
        passes=2,
        dropout=0.2,
    )
    assert found.samples.shape == (2, 5, 70, 100)
    assert found.features.shape == (depth, *shape)
    assert found.difficulty.shape == (70, 100)
    for each in (found.samples, found.features, found.difficulty, found.mirrored):
        assert each.dtype == torch.float32
        assert each.isfinite().all()
    torch.testing.assert_close(found.samples.sum(1), torch.ones(2, 70, 100))


def test_the_encoder_works_once_for_all_passes(image):
    network = network_of(Coarse(), stride=8)
    pools = count(network.encoder[0])
    found = predict(network, image, TILED, **SAMPLES)
    assert not torch.equal(found.samples[0], found.samples[1])
    assert len(pools) == 2  # six tiles, three at a time


def test_a_prediction_that_fails_leaves_the_network_as_it_was(pointwise, image):
    before = predict(pointwise, image, WHOLE).probability
    pointwise.train()
    with pytest.raises(RuntimeError):
        predict(pointwise, image[..., :2], WHOLE, **SAMPLES)
    assert pointwise.training
    assert torch.equal(predict(pointwise, image, WHOLE).probability, before)


# --- passes with dropout --------------------------------------------------------------


def test_passes_differ_are_repeatable_and_depend_on_the_seed(pointwise, image):
    first, again = (
        predict(pointwise, image, WHOLE, **SAMPLES).samples for _ in range(2)
    )
    torch.rand(3)  # the global generator is elsewhere now
    other = predict(pointwise, image, WHOLE, **SAMPLES, seed=1).samples
    assert torch.equal(first, again)
    for a in range(3):
        for b in range(3):
            assert (a == b) == torch.equal(first[a], first[b])
            assert not torch.equal(first[a], other[b])


def test_more_passes_begin_with_the_same_ones(pointwise, image):
    more = SAMPLES | {"passes": 5}
    torch.testing.assert_close(
        predict(pointwise, image, WHOLE, **more).samples[:3],
        predict(pointwise, image, WHOLE, **SAMPLES).samples,
    )


@pytest.mark.parametrize("settings", [WHOLE, TILED], ids=["whole", "tiled"])
def test_without_dropout_each_pass_is_the_prediction(tiny_network, image, settings):
    none = SAMPLES | {"dropout": 0.0}
    found = predict(tiny_network, image, settings, **none)
    assert all(torch.equal(each, found.probability) for each in found.samples)


def test_a_pass_is_one_network_for_all_tiles(pointwise, image):
    whole = predict(pointwise, image, WHOLE, **SAMPLES).samples
    for settings in (TILED, PredictionSettings(80, 8, 1), PredictionSettings(80, 8, 9)):
        tiled = predict(pointwise, image, settings, **SAMPLES).samples
        torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_image_has_mirrored_passes(pointwise, image, axis):
    found = predict(pointwise, image, TILED, **SAMPLES).samples
    mirrored = predict(pointwise, np.flip(image, axis), TILED, **SAMPLES).samples
    torch.testing.assert_close(mirrored.flip(axis - 2), found, atol=1e-5, rtol=1e-4)


def test_batch_normalisation_and_the_probability_are_left_alone(tiny_network, image):
    tiny_network.train()
    before = {name: each.clone() for name, each in tiny_network.state_dict().items()}
    found = predict(tiny_network, image, WHOLE, **SAMPLES)
    after = tiny_network.state_dict()
    assert all(torch.equal(each, after[name]) for name, each in before.items())
    expected = predict(tiny_network, image, WHOLE).probability
    assert torch.equal(found.probability, expected)


@pytest.mark.parametrize(
    ("passes", "dropout"), [(1, 0.2), (0, 0.2), (3, 1.0), (3, -0.1), (3, float("nan"))]
)
def test_passes_that_tell_nothing_are_refused(pointwise, image, passes, dropout):
    values = {"passes": passes, "dropout": dropout}
    with pytest.raises(BadValue, match=f"got {passes} passes with {dropout}"):
        predict(pointwise, image, WHOLE, needs={"samples"}, **values)
    assert predict(pointwise, image, WHOLE, **values).samples is None


# --- features -------------------------------------------------------------------------


def mean_colours(image: np.ndarray, network: Network) -> torch.Tensor:
    """Normalised mean colour of each 8 x 8 pixels; (3, h, w)."""
    rows, columns, _ = image.shape
    cells = image.reshape(rows // 8, 8, columns // 8, 8, 3).mean((1, 3)) / 255
    values = torch.tensor(cells, dtype=torch.float32).permute(2, 0, 1)
    return (values - network.mean) / network.deviation


@pytest.mark.parametrize(
    ("settings", "side"),
    [(WHOLE, 256), (TILED, 112), (PredictionSettings(96, 32), 128)],
)
def test_features_lie_where_the_image_has_them(settings, side):
    """Tiles start at multiples of 8: at 0 and 48, at 0 and 32."""
    shape = (side, side, 3)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    network = network_of(Coarse(), stride=8)
    found = predict(network, image, settings, needs={"features"}).features
    expected = mean_colours(image, network)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("settings", [WHOLE, TILED], ids=["whole", "tiled"])
@pytest.mark.parametrize("shape", [(100, 150), (96, 144), (161, 75)])
def test_features_of_a_slope_are_that_slope_whatever_the_tiles(settings, shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([rows, columns, rows + columns // 2], -1).astype(np.uint8)
    network = network_of(Coarse(), stride=8)
    found = predict(network, image, settings, needs={"features"}).features
    colours = (found * network.deviation + network.mean) * 255
    height, width = colours.shape[1:]
    assert (height, width) == (-(-shape[0] // 8), -(-shape[1] // 8))
    row = (torch.arange(height) + 0.5) * shape[0] / height - 0.5
    column = (torch.arange(width) + 0.5) * shape[1] / width - 0.5
    # Padding bends the slope at the border of the image; at that of a tile, where it
    # weighs least, up to half a cell (4) is missing to go on with.
    found_rows, found_columns = colours[:2, 1:-1, 1:-1]
    assert (found_rows - row[1:-1, None]).abs().max() < 0.5
    assert (found_columns - column[1:-1]).abs().max() < 0.5


def test_features_of_full_size_are_the_same_with_tiles(pointwise, image):
    whole, tiled = (
        predict(pointwise, image, settings, needs={"features"}).features
        for settings in (WHOLE, TILED)
    )
    assert whole.shape == (32, 100, 150)
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=1e-4)


# --- difficulty -----------------------------------------------------------------------


def test_difficulty_is_what_the_branch_says_of_the_logits(pointwise, image):
    found = predict(pointwise, image, WHOLE, needs={"difficulty"}).difficulty
    colours = torch.tensor(image).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        logits = pointwise.difficulty(pointwise(colours))[0]
    torch.testing.assert_close(found, logits.sigmoid())
    assert 0 < found.min() < found.max() < 1


def test_difficulty_of_tiles_leaves_no_seams(pointwise):
    smooth = np.repeat(np.linspace(0, 255, 150)[None, :, None], 100, 0).repeat(3, 2)
    whole, tiled = (
        predict(pointwise, smooth.astype(np.uint8), settings, needs={"difficulty"})
        for settings in (WHOLE, TILED)
    )
    assert (whole.difficulty - tiled.difficulty).abs().max() < 0.02


def test_a_network_that_has_not_learnt_where_it_errs_says_so(tiny_network, image):
    with pytest.raises(BadValue, match="errs: learn by the recipe"):
        predict(tiny_network, image, WHOLE, needs={"difficulty"})


# --- a frozen encoder -----------------------------------------------------------------


@pytest.fixture
def frozen() -> Network:
    return build(NetworkSettings("live/unet", weights="random"), 3).eval()


def test_an_image_is_prepared_by_its_middle_tile(frozen, image):
    bounds = tiles(image.shape[:2], TILED.tile, TILED.overlap)
    middle = image[bounds[len(bounds) // 2].slices]
    found = prepared(frozen, image, TILED)
    assert torch.equal(found, frozen.prepared(to_tensor(middle, frozen.device)))
    assert prepared(frozen, image, WHOLE).shape == (1, 3, 128, 160)


# --- when memory is short -------------------------------------------------------------


class FullAbove(nn.Module):
    """A body for which memory holds only so many images of so many pixels."""

    def __init__(self, body: nn.Module, images: int, pixels: int) -> None:
        super().__init__()
        self.encoder = body.encoder
        self.head = body.head
        self.most = images, pixels
        self.refused = 0

    def forward(self, images):
        if len(images) > self.most[0] or images[0, 0].numel() > self.most[1]:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.head(self.encoder(images))


def short_of_memory(network: Network, images: int, pixels: int) -> Network:
    body = FullAbove(network.body, images, pixels)
    return Network(body, NetworkSettings(), 3).eval()


def test_with_a_full_memory_fewer_tiles_pass_at_once(tiny_network, image, caplog):
    """What fits is remembered; what the image is said to be does not change."""
    network = short_of_memory(tiny_network, images=1, pixels=64 * 64)
    settings = replace(TILED, batch_size=4)
    whole = predict(tiny_network, image, settings).probability
    for _ in range(2):
        found = predict(network, image, settings).probability
        torch.testing.assert_close(found, whole)
    assert network.body.refused == 2
    assert [record.getMessage() for record in caplog.records] == [
        "the graphics memory is full: 2 tiles at a time now",
        "the graphics memory is full: 1 tiles at a time now",
    ]


def test_when_single_tiles_are_too_large_they_get_smaller(pointwise, caplog):
    image = np.random.default_rng(0).integers(0, 256, (300, 520, 3), dtype=np.uint8)
    network = short_of_memory(pointwise, images=4, pixels=300 * 260)
    whole = predict(pointwise, image, WHOLE).probability
    found = predict(network, image, replace(WHOLE, tile=8192, overlap=1024))
    torch.testing.assert_close(found.probability, whole, atol=1e-5, rtol=1e-4)
    assert [record.getMessage() for record in caplog.records] == [
        "the graphics memory is full: tiles are at most 260 pixels now"
    ]
    assert (network.fits.tile, network.fits.batch_size) == (260, 4)


def test_the_cpu_is_the_last_resort(tiny_network, image, caplog, monkeypatch):
    network = short_of_memory(tiny_network, images=1, pixels=1)
    whole = predict(tiny_network, image, WHOLE, needs={"mirrored"})
    with pytest.raises(torch.OutOfMemoryError, match="close what else"):
        predict(network, image, WHOLE)
    module = sys.modules[predict.__module__]  # the function has its name
    monkeypatch.setattr(module, "_on_cpu", lambda network: tiny_network)
    found = predict(network, image, WHOLE, needs={"mirrored"})
    torch.testing.assert_close(found.probability, whole.probability)
    torch.testing.assert_close(found.mirrored, whole.mirrored)
    assert "the CPU looks at this image" in caplog.text
    assert network.body.most == (1, 1)  # the network itself stays where it is


def test_what_the_cpu_takes_over_is_a_copy(tiny_network, image, monkeypatch):
    """Each tensor is moved by itself, so the full memory holds no second network."""
    module = sys.modules[predict.__module__]
    assert module._on_cpu(tiny_network) is None
    moved, whole = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda t: moved.append(t) or whole(t))
    elsewhere = torch.device("cuda")
    with monkeypatch.context() as patch:
        patch.setattr(Network, "device", property(lambda self: elsewhere))
        copy = module._on_cpu(tiny_network)
    tensors = [*tiny_network.parameters(), *tiny_network.buffers()]
    assert len(moved) == len(tensors)
    assert {id(each) for each in copy.parameters()}.isdisjoint(map(id, tensors))
    torch.testing.assert_close(
        predict(copy, image, WHOLE).probability,
        predict(tiny_network, image, WHOLE).probability,
    )
