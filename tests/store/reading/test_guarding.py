"""Whatever the bytes: pixels as promised, or an `UnreadableImage`."""

import io
import shutil

import imagecodecs
import numcodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as pillow

from napari_alseg.errors import UnreadableImage
from napari_alseg.store.reading import inspect, read_plane, read_samples

BYTES = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
RGB, GREY, WORDS = BYTES[..., :3], BYTES[..., 0].copy(), BYTES.astype(np.uint16) * 200
COPIES = 15
EACH = ["cut", "flips", "flips in the head", "flips in the tail", "zeros"]


def by_pillow(kind, array=RGB, **options):
    file = io.BytesIO()
    pillow.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def by_tifffile(array, photometric="minisblack", **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric=photometric, **options)
    return file.getvalue()


FRAMES = {"save_all": True, "append_images": [pillow.fromarray(255 - RGB)]}
STACK = np.moveaxis(WORDS, -1, 0)
FILES = {
    "png": by_pillow("PNG"),
    "png 16 bits": imagecodecs.png_encode(WORDS),
    "png frames": by_pillow("PNG", **FRAMES),
    "jpeg": by_pillow("JPEG"),
    "bmp": by_pillow("BMP"),
    "gif": by_pillow("GIF", **FRAMES),
    "webp": by_pillow("WEBP"),
    "tiff": by_tifffile(GREY),
    "tiff zlib": by_tifffile(RGB, "rgb", compression="zlib", tile=(16, 16)),
    "tiff lzw": by_tifffile(RGB, "rgb", compression="lzw", predictor=2),
    "tiff jpeg": by_tifffile(RGB, "ycbcr", compression="jpeg", tile=(16, 16)),
    "tiff imagej": by_tifffile(STACK, imagej=True, metadata={"axes": "ZYX"}),
    "tiff ome": by_tifffile(STACK, ome=True, metadata={"axes": "CYX"}),
}
ZARRS = {
    "zarr 2 blosc": (2, numcodecs.Blosc("lz4")),
    "zarr 2 zstd": (2, numcodecs.Zstd()),
    "zarr 3 zstd": (3, zarr.codecs.ZstdCodec()),
}


def damaged(content, kind, rng):
    """A copy of some bytes with some of them cut, changed or zero."""
    found = bytearray(content)
    size = len(found)
    if kind == "cut":
        return bytes(found[: rng.integers(0, size)])
    if kind == "zeros":
        at = int(rng.integers(0, size))
        found[at : at + 40] = bytes(len(found[at : at + 40]))
        return bytes(found)
    first = max(0, size - 300) if "tail" in kind else 0
    last = min(size, 300) if "head" in kind else size
    for _ in range(3):
        found[rng.integers(first, last)] = rng.integers(0, 256)
    return bytes(found)


def check(path):
    """Read a file, which gives what it promises or one clear error."""
    try:
        picture = inspect(path)
        last = len(picture.planes) - 1
        pixels = read_plane(picture, last)
        samples = read_samples(picture, last)
    except UnreadableImage as error:
        assert str(error).startswith(str(path))
        return False
    assert pixels.shape == (*picture.shape, len(picture.channels))
    assert pixels.dtype == picture.dtype
    assert samples.values.shape[:2] == picture.shape
    return True


@pytest.mark.parametrize("name", FILES)
def test_damaged_files(name, tmp_path, capfd):
    rng = np.random.default_rng(list(FILES).index(name))
    path = tmp_path / "a.bin"
    path.write_bytes(FILES[name])
    assert check(path)
    for number in range(COPIES):
        path.write_bytes(damaged(FILES[name], EACH[number % len(EACH)], rng))
        check(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ZARRS)
def test_damaged_zarrs(name, tmp_path, capfd):
    fmt, compressor = ZARRS[name]
    group = zarr.create_group(tmp_path / "whole", zarr_format=fmt)
    options = {"chunks": (1, 16, 16), "compressors": compressor}
    array = group.create_array("0", shape=STACK.shape, dtype="u2", **options)
    array[...] = STACK
    axes = [{"name": axis} for axis in "cyx"]
    scales = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.attrs.update(scales if fmt == 2 else {"ome": scales})
    path = tmp_path / "a.zarr"
    rng = np.random.default_rng(0)
    assert check(tmp_path / "whole")
    for number in range(2 * COPIES):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", path)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        file = files[int(rng.integers(0, len(files)))]
        content = damaged(file.read_bytes() or b"\0", EACH[number % len(EACH)], rng)
        file.write_bytes(content)
        check(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", FILES)
def test_no_cut_goes_unseen(name, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(FILES[name])
    picture = inspect(path)
    whole = [read_plane(picture, n) for n in range(len(picture.planes))]
    size = len(FILES[name])
    for keep in (*range(1, size - 2, size // 9), size - 2):
        path.write_bytes(FILES[name][:keep])
        if not check(path):
            continue
        picture = inspect(path)
        assert len(picture.planes) == len(whole)
        for number, plane in enumerate(whole):
            np.testing.assert_array_equal(read_plane(picture, number), plane)
