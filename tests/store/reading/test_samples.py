"""What masks are made of: values as they are stored."""

import numpy as np
import pytest
import tifffile
from PIL import Image as pillow
from PIL.PngImagePlugin import PngInfo

from napari_alseg.store.reading import inspect, read_samples

COLOURS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [7, 8, 9]], np.uint8)
INDICES = (np.arange(35).reshape(5, 7) % 4).astype(np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mask"


def of(path):
    return read_samples(inspect(path))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_indices_and_their_colours(kind, path):
    image = pillow.fromarray(INDICES)
    image.putpalette(COLOURS.tobytes())
    image.save(path, kind)
    samples = of(path)
    np.testing.assert_array_equal(samples.values[..., 0], INDICES)
    np.testing.assert_array_equal(samples.palette[:4], COLOURS)
    assert samples.transparent is None


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_of_few_bits_and_a_transparent_index(bits, path):
    indices = np.minimum(INDICES, 2**bits - 1)
    image = pillow.fromarray(indices)
    image.putpalette(np.resize(COLOURS, (2**bits, 3)).tobytes())
    image.save(path, "PNG", bits=bits, transparency=1)
    samples = of(path)
    assert samples.bits == bits
    np.testing.assert_array_equal(samples.values[..., 0], indices)
    np.testing.assert_array_equal(samples.transparent, indices == 1)


def test_a_palette_within_tiff(path):
    colours = np.zeros((3, 256), np.uint16)
    colours[:, :4] = COLOURS.T * np.uint16(257)
    tifffile.imwrite(path, INDICES, photometric="palette", colormap=colours)
    samples = of(path)
    np.testing.assert_array_equal(samples.values[..., 0], INDICES)
    np.testing.assert_array_equal(samples.palette[:4], COLOURS)


@pytest.mark.parametrize(("bits", "most"), [(2, 3), (4, 15)])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_few_bits_are_not_scaled(kind, bits, most, path):
    values = np.minimum(INDICES, most)
    if kind == "png":
        stored = pillow.fromarray(values)
        stored.putpalette(list(range(256)) * 3)
        stored.save(path, "PNG", bits=bits)
        content = bytearray(path.read_bytes())
        assert content[24] == bits
    else:
        tifffile.imwrite(path, values, bitspersample=bits)
    samples = of(path)
    assert samples.bits == bits
    np.testing.assert_array_equal(samples.values[..., 0], values)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_is_false_or_true(kind, path):
    pillow.fromarray(INDICES > 1).save(path, kind)
    samples = of(path)
    assert samples.values.dtype == bool
    assert samples.bits == 1
    np.testing.assert_array_equal(samples.values[..., 0], INDICES > 1)


def test_one_bit_of_which_0_is_white(path):
    tifffile.imwrite(path, INDICES > 1, photometric="miniswhite")
    shown = np.asarray(pillow.open(path))
    np.testing.assert_array_equal(of(path).values[..., 0], shown)
    np.testing.assert_array_equal(of(path).values[..., 0], INDICES <= 1)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "i8", "f2", "f8", ">u2"])
def test_numbers_stay_exact(dtype, path):
    values = (INDICES.astype(np.int64) - (dtype[-2] in "if")) * 29
    tifffile.imwrite(path, values.astype(dtype))
    samples = of(path)
    assert samples.values.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(samples.values[..., 0], values.astype(dtype))


@pytest.mark.parametrize(
    ("kind", "count"), [("PNG", 2), ("PNG", 4), ("TIFF", 2), ("TIFF", 4), ("WEBP", 4)]
)
def test_where_alpha_is_0(kind, count, path):
    values = np.dstack([INDICES * 9] * (count - 1) + [INDICES])
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pillow.fromarray(values).save(path, kind, **options)
    samples = of(path)
    np.testing.assert_array_equal(samples.values, values[..., :-1])
    np.testing.assert_array_equal(samples.transparent, INDICES == 0)


@pytest.mark.parametrize(("array", "clear"), [(INDICES, 2), (COLOURS[INDICES], None)])
def test_a_value_or_colour_that_is_clear(array, clear, path):
    key = clear if clear is not None else tuple(COLOURS[3].tolist())
    pillow.fromarray(array).save(path, "PNG", transparency=key)
    samples = of(path)
    wanted = 2 if clear is not None else 3
    np.testing.assert_array_equal(samples.transparent, INDICES == wanted)
    np.testing.assert_array_equal(samples.values.squeeze(), array)


def test_texts_of_a_png(path):
    info = PngInfo()
    info.add_text("classes", "sky, road")
    info.add_text("long", "a" * 3000, zip=True)
    info.add_itxt("who", "Zoë", zip=True)
    pillow.fromarray(INDICES).save(path, "PNG", pnginfo=info)
    text = {"classes": "sky, road", "long": "a" * 3000, "who": "Zoë"}
    assert of(path).text == text
