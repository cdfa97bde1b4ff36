"""Each kind of file gives the pixels that an independent reader, or its bytes, give."""

import io

import imagecodecs
import numpy as np
import pytest
from files_by_hand import by_pillow, by_tifffile, chunk, interlaced, png, tiff
from PIL import Image as pillow

from napari_alseg.errors import UnreadableImage
from napari_alseg.store.reading import (
    FORMATS,
    inspect,
    read_image,
    read_plane,
    read_samples,
)

ROWS, COLUMNS = 5, 7
BYTES = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS, 4), np.uint8)
RGB, GREY, ALPHA = BYTES[..., :3], BYTES[..., :1], BYTES[..., 3:] % 3
WORDS = (
    np.random.default_rng(1).integers(0, 65536, (ROWS, COLUMNS, 4)).astype(np.uint16)
)
RED_GREEN_BLUE = ("red", "green", "blue")


def few(bits, seed=2):
    return np.random.default_rng(seed).integers(0, 2**bits, (ROWS, COLUMNS, 1))


COLOURS = np.random.default_rng(3).integers(0, 256, (256, 3), np.uint8)
PLTE = [chunk(b"PLTE", COLOURS[: 2**bits].tobytes()) for bits in range(9)]
CLEAR = chunk(b"tRNS", bytes([0, 255, 9]))


def colour_map(bits, factor):
    return 3, (COLOURS[: 2**bits].T.astype(int) * factor).ravel().tolist()


def inks(values, most):
    left = most - values.astype(np.float64)
    return np.rint(left[..., :3] * left[..., 3:] / most)


JPEG = by_pillow(np.kron(RGB, np.ones((4, 4, 1), np.uint8)), "JPEG")
CMYK = pillow.merge("CMYK", [pillow.fromarray(BYTES[..., k]) for k in range(4)])
CMYK_FILE = io.BytesIO()
CMYK.save(CMYK_FILE, "JPEG", quality=100, subsampling=0)
GIF = io.BytesIO()
pillow.fromarray(RGB).save(GIF, "GIF")
COMPLEMENT = imagecodecs.jpeg8_decode(CMYK_FILE.getvalue())

GREY_KINDS = {
    "png 1 bit": (png(few(1), 1, 0), few(1) * 255),
    "png 2 bits": (png(few(2), 2, 0), few(2) * 85),
    "png 4 bits": (png(few(4), 4, 0), few(4) * 17),
    "png 8 bits": (png(GREY, 8, 0), GREY),
    "png 8 bits and a clear value": (png(GREY, 8, 0, chunk(b"tRNS", b"\0\7")), GREY),
    "png 8 bits and alpha": (png(BYTES[..., :2], 8, 4), GREY),
    "png 16 bits": (png(WORDS[..., :1], 16, 0), WORDS[..., :1]),
    "png 16 bits and alpha": (png(WORDS[..., :2], 16, 4), WORDS[..., :1]),
    "png 4 bits interlaced": (interlaced(few(4), 4, 0), few(4) * 17),
    "png 16 bits interlaced": (interlaced(WORDS[..., :1], 16, 0), WORDS[..., :1]),
    "png of pillow": (by_pillow(GREY, "PNG"), GREY),
    "bmp": (by_pillow(GREY, "BMP"), GREY),
    "bmp 1 bit": (by_pillow(few(1).astype(bool), "BMP"), few(1) * 255),
    "tiff 1 bit": (tiff(few(1), 1, 1), few(1) * 255),
    "tiff 1 bit, 0 is white": (tiff(few(1), 1, 0), 255 - few(1) * 255),
    "tiff 2 bits": (tiff(few(2), 2, 1), few(2) * 85),
    "tiff 4 bits": (tiff(few(4), 4, 1), few(4) * 17),
    "tiff 4 bits, 0 is white": (tiff(few(4), 4, 0), 255 - few(4) * 17),
    "tiff 8 bits, 0 is white": (tiff(GREY, 8, 0), 255 - GREY),
    "tiff 12 bits": (tiff(few(12), 12, 1), few(12).astype(np.uint16)),
    "tiff 12 bits, 0 is white": (tiff(few(12), 12, 0), (4095 - few(12)).astype("u2")),
    "tiff 16 bits": (tiff(WORDS[..., :1], 16, 1), WORDS[..., :1]),
    "tiff 16 bits, 0 is white": (tiff(WORDS[..., :1], 16, 0), 65535 - WORDS[..., :1]),
    "tiff 16 bits and alpha": (
        tiff(WORDS[..., :2], 16, 1, t338=(3, [2])),
        WORDS[..., :1],
    ),
    "tiff float16": (
        by_tifffile((GREY / 7).astype("f2")),
        (GREY / 7).astype("f2").astype("f4"),
    ),
    "tiff float64": (by_tifffile(GREY / 7.0), (GREY / 7.0).astype("f4")),
    "tiff int8": (
        by_tifffile(GREY.view(np.int8)),
        GREY.view(np.int8).astype(np.int16),
    ),
    "tiff int32": (by_tifffile(GREY * np.int32(-9)), (GREY * -9.0).astype("f4")),
    "tiff uint64": (by_tifffile(GREY * np.uint64(9)), (GREY * 9.0).astype("f4")),
    "bigtiff, little-endian": (
        by_tifffile(WORDS[..., 0], bigtiff=True, byteorder="<"),
        WORDS[..., :1],
    ),
    "tiff lzw and predictor": (
        by_tifffile(WORDS[..., 0], compression="lzw", predictor=2),
        WORDS[..., :1],
    ),
    "tiff zlib and predictor of floats": (
        by_tifffile((GREY / 7).astype("f4")[..., 0], compression="zlib", predictor=3),
        (GREY / 7).astype("f4"),
    ),
}
COLOUR_KINDS = {
    "png rgb": (png(RGB, 8, 2), RGB),
    "png rgba": (png(BYTES, 8, 6), RGB),
    "png rgb and a clear colour": (png(RGB, 8, 2, chunk(b"tRNS", bytes(6))), RGB),
    "png rgb 16 bits": (png(WORDS[..., :3], 16, 2), WORDS[..., :3]),
    "png rgb 16 bits and a clear colour": (
        png(
            WORDS[..., :3],
            16,
            2,
            chunk(b"tRNS", WORDS[0, 0, :3].astype(">u2").tobytes()),
        ),
        WORDS[..., :3],
    ),
    "png rgba 16 bits interlaced": (interlaced(WORDS, 16, 6), WORDS[..., :3]),
    "png rgba 16 bits": (png(WORDS, 16, 6), WORDS[..., :3]),
    "png of imagecodecs": (imagecodecs.png_encode(WORDS), WORDS[..., :3]),
    "png palette": (png(GREY, 8, 3, PLTE[8]), COLOURS[GREY[..., 0]]),
    "png palette 1 bit": (png(few(1), 1, 3, PLTE[1]), COLOURS[few(1)[..., 0]]),
    "png palette 4 bits": (png(few(4), 4, 3, PLTE[4], CLEAR), COLOURS[few(4)[..., 0]]),
    "jpeg": (JPEG, imagecodecs.jpeg8_decode(JPEG)),
    "gif": (GIF.getvalue(), imagecodecs.gif_decode(GIF.getvalue())),
    "bmp": (by_pillow(RGB, "BMP"), imagecodecs.bmp_decode(by_pillow(RGB, "BMP"))),
    "webp": (by_pillow(RGB, "WEBP", lossless=True), RGB),
    "webp with alpha": (imagecodecs.webp_encode(BYTES | 1, lossless=True), RGB | 1),
    "tiff rgb": (tiff(RGB, 8, 2), RGB),
    "tiff rgb, little-endian": (tiff(RGB, 8, 2, "<"), RGB),
    "tiff rgba": (tiff(BYTES, 8, 2, t338=(3, [2])), RGB),
    "tiff rgb 16 bits and premultiplied alpha": (
        tiff(WORDS, 16, 2, t338=(3, [1])),
        WORDS[..., :3],
    ),
    "tiff rgb planar": (by_tifffile(np.moveaxis(RGB, 2, 0), photometric="rgb"), RGB),
    "tiff palette": (tiff(GREY, 8, 3, t320=colour_map(8, 257)), COLOURS[GREY[..., 0]]),
    "tiff palette times 256": (
        tiff(GREY, 8, 3, t320=colour_map(8, 256)),
        COLOURS[GREY[..., 0]],
    ),
    "tiff palette of 8 bits": (
        tiff(GREY, 8, 3, t320=colour_map(8, 1)),
        COLOURS[GREY[..., 0]],
    ),
    "tiff palette 4 bits": (
        tiff(few(4), 4, 3, t320=colour_map(4, 257)),
        COLOURS[few(4)[..., 0]],
    ),
    "tiff cmyk": (tiff(BYTES, 8, 5), inks(BYTES, 255).astype(np.uint8)),
    "tiff cmyk 16 bits": (tiff(WORDS, 16, 5), inks(WORDS, 65535).astype(np.uint16)),
    "tiff webp": (
        by_tifffile(RGB, photometric="rgb", compression="webp"),
        RGB,
    ),
}
KINDS = GREY_KINDS | {f"colour {name}": kind for name, kind in COLOUR_KINDS.items()}


@pytest.fixture
def write(tmp_path):
    """Write bytes as a file, whose ending says nothing."""

    def written(content, name="a.bin"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return written


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_file(name, write, capfd, caplog):
    content, expected = KINDS[name]
    picture = inspect(write(content))
    expected = np.asarray(expected)
    if expected.dtype == np.int64:
        expected = expected.astype(np.uint8)
    pixels = read_plane(picture)
    assert pixels.dtype == expected.dtype == picture.dtype
    np.testing.assert_array_equal(pixels, expected)
    assert picture.shape == (expected.shape[0], expected.shape[1])
    assert picture.colour == name.startswith("colour")
    assert picture.channels == (RED_GREEN_BLUE if picture.colour else ("grey",))
    assert picture.planes == ("",)
    assert picture.lossy == (name == "colour jpeg")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.parametrize("frames", [1, 2])
def test_whether_webp_changed_values(frames, write):
    more = {"save_all": True, "append_images": [pillow.fromarray(255 - RGB)]}
    for lossless in (True, False):
        options = (more if frames == 2 else {}) | {"lossless": lossless}
        assert inspect(write(by_pillow(RGB, "WEBP", **options))).lossy != lossless


def test_every_format_has_a_kind(write):
    named = {row.name.lower() for row in FORMATS}
    assert {name.removeprefix("colour ").split()[0] for name in KINDS} >= named


def test_a_cmyk_jpeg_is_not_inverted(write):
    pixels = read_image(write(CMYK_FILE.getvalue()))
    left = COMPLEMENT.astype(float)  # Adobe's are inverted, so these are what is left
    assert abs(pixels - left[..., :3] * left[..., 3:] / 255).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation(kind, orientation, write):
    exif = pillow.Exif()
    exif[274] = orientation
    options = {"TIFF": {"tiffinfo": {274: orientation}}}.get(kind, {"exif": exif})
    if kind == "WEBP":
        options["lossless"] = True
    content = by_pillow(RGB, kind, **options)
    turned = {
        2: pillow.Transpose.FLIP_LEFT_RIGHT,
        3: pillow.Transpose.ROTATE_180,
        4: pillow.Transpose.FLIP_TOP_BOTTOM,
        5: pillow.Transpose.TRANSPOSE,
        6: pillow.Transpose.ROTATE_270,
        7: pillow.Transpose.TRANSVERSE,
        8: pillow.Transpose.ROTATE_90,
    }
    plain = imagecodecs.jpeg8_decode(content) if kind == "JPEG" else RGB
    shown = pillow.fromarray(plain)
    if orientation > 1:
        shown = shown.transpose(turned[orientation])
    picture = inspect(write(content))
    assert picture.shape == (shown.height, shown.width)
    np.testing.assert_array_equal(read_plane(picture), np.asarray(shown))
    np.testing.assert_array_equal(read_samples(picture).values, np.asarray(shown))


def test_the_ending_does_not_choose_the_reader(write):
    for name in ("a.png", "a.jpg", "a.tif"):
        assert read_image(write(by_pillow(RGB, "GIF"), name)).shape == RGB.shape
        np.testing.assert_array_equal(read_image(write(tiff(RGB, 8, 2), name)), RGB)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_frames_are_planes(kind, write):
    frames = [np.full_like(RGB, value) for value in (10, 200, 90)]
    drawn = [pillow.fromarray(frame) for frame in frames]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = by_pillow(
        frames[0], kind, save_all=True, append_images=drawn[1:], **options
    )
    picture = inspect(write(content))
    assert picture.planes == ("t1", "t2", "t3")
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(read_plane(picture, number), frame)
        np.testing.assert_array_equal(read_samples(picture, number).values, frame)
    with pytest.raises(UnreadableImage, match="stack of 3 planes"):
        read_image(picture.path)


def test_a_phone_s_second_picture_is_not_read(write):
    content = by_pillow(
        RGB, "MPO", save_all=True, append_images=[pillow.fromarray(RGB)]
    )
    assert inspect(write(content)).planes == ("",)
    assert read_image(write(content)).shape == RGB.shape
