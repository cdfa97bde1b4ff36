from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as pillow

from napari_alseg.arrays import LabelClass
from napari_alseg.errors import EmptyFolder, MaskMismatch, UnreadableImage
from napari_alseg.store import (
    ClassTable,
    image_files,
    pair_masks,
    read_image,
    read_mask,
    stem,
)
from napari_alseg.store.layout import create_image

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
RGB = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
TABLE = ClassTable(
    (LabelClass("sky", (10, 20, 30)), LabelClass("road", (200, 0, 0))),
    values=(3, 7),
    ignore=255,
    ignore_colour=(0, 0, 0),
)


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize("array", [GREY, RGB], ids=["grey", "rgb"])
def test_eight_bits(tmp_path, array, ending):
    path = tmp_path / f"a{ending}"
    if "tif" in ending:
        tifffile.imwrite(path, array)
    else:
        pillow.fromarray(array).save(path)
    read = read_image(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array.reshape(3, 4, -1))


def test_jpeg(tmp_path):
    pillow.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (8, 8, 3)
    assert abs(read_image(tmp_path / "a.jpg").astype(int) - 90).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_native_numbers_of_a_tiff_stay(tmp_path, dtype):
    array = (GREY * 100.0 - 300).clip(0 if dtype == np.uint16 else None).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array)
    read = read_image(tmp_path / "a.tif")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read[..., 0], array)


def test_sixteen_bit_png(tmp_path):
    pillow.fromarray(GREY.astype(np.uint16) * 5000).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert read.dtype == np.uint16
    assert read.max() == 55000


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.uint32])
def test_wider_numbers_become_float(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(dtype))
    read = read_image(tmp_path / "a.tif")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read[..., 0], GREY)


def test_black_and_white_becomes_0_and_255(tmp_path):
    pillow.fromarray(GREY > 5).save(tmp_path / "a.png")
    assert sorted(set(read_image(tmp_path / "a.png").ravel().tolist())) == [0, 255]


def test_alpha_is_dropped(tmp_path):
    rgba = np.dstack([RGB, GREY])
    pillow.fromarray(rgba).save(tmp_path / "a.png")
    tifffile.imwrite(
        tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"]
    )
    pillow.fromarray(np.dstack([GREY, GREY]), "LA").save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), RGB)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), RGB)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png")[..., 0], GREY)


def test_a_palette_becomes_its_colours(tmp_path):
    picture = pillow.fromarray(GREY % 2, "P")
    picture.putpalette([9, 8, 7, 100, 110, 120])
    picture.save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert read[0, :2].tolist() == [[9, 8, 7], [100, 110, 120]]


def test_two_channels_get_an_empty_third(tmp_path):
    both = np.stack([GREY, GREY + 1])
    tifffile.imwrite(tmp_path / "a.tif", both, imagej=True, metadata={"axes": "CYX"})
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read, np.dstack([GREY, GREY + 1, GREY * 0]))


def test_ome_zarr_is_read_at_its_largest_level(tmp_path):
    image = np.random.default_rng(0).integers(0, 60000, (1030, 5, 3), np.uint16)
    create_image(tmp_path / "a.ome.zarr", image, (0, 60000))
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.zarr"), image)


def test_ome_zarr_of_version_4_with_planes_of_one(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    group.attrs["multiscales"] = [
        {"axes": [{"name": n} for n in "tczyx"], "datasets": [{"path": "s0"}]}
    ]
    array = group.create_array("s0", shape=(1, 2, 1, 3, 4), dtype="u1")
    array[...] = np.stack([GREY, GREY + 1])[None, :, None]
    read = read_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(read, np.dstack([GREY, GREY + 1, GREY * 0]))


def test_stacks_say_that_one_plane_is_needed(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((5, 3, 4), np.uint8), photometric="minisblack"
    )
    group = zarr.create_group(tmp_path / "a.zarr")
    axes = [{"name": n} for n in "zyx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.create_array("0", shape=(5, 3, 4), dtype="u1")
    for name in ("a.tif", "a.zarr"):
        with pytest.raises(UnreadableImage, match=r"= 5.*one plane is needed"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.txt", "none.png"])
def test_what_is_no_image_is_named(tmp_path, name):
    if name != "none.png":
        (tmp_path / name).write_bytes(b"no picture at all")
    with pytest.raises(UnreadableImage, match=name):
        read_image(tmp_path / name)


def test_a_cut_off_file_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    pillow.fromarray(noise).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImage, match=r"cut\.png"):
        read_image(tmp_path / "cut.png")


def test_a_folder_that_is_no_ome_zarr_is_named(tmp_path):
    zarr.create_group(tmp_path / "a.zarr")
    with pytest.raises(UnreadableImage, match="no OME-Zarr image"):
        read_image(tmp_path / "a.zarr")


def test_too_many_channels(tmp_path):
    five = np.zeros((5, 3, 4), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", five, imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(UnreadableImage, match="5 channels"):
        read_image(tmp_path / "a.tif")


def test_complex_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.complex64))
    with pytest.raises(UnreadableImage, match="complex64"):
        read_image(tmp_path / "a.tif")


def test_axes_that_are_no_plane(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    axes = [{"name": n} for n in "cx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.create_array("0", shape=(2, 3), dtype="u1")
    with pytest.raises(UnreadableImage, match="axes CX"):
        read_image(tmp_path / "a.zarr")


def test_image_files_are_in_natural_order(tmp_path):
    for name in ("a10.png", "a2.png", "a1.TIF", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "a3.zarr").mkdir()
    (tmp_path / "b.png").mkdir()
    names = [path.name for path in image_files(tmp_path)]
    assert names == ["a1.TIF", "a2.png", "a3.zarr", "a10.png"]


@pytest.mark.parametrize("name", ["", "none"])
def test_a_folder_without_images(tmp_path, name):
    with pytest.raises(EmptyFolder, match=r"\.png, .*\.zarr are read"):
        image_files(tmp_path / name)


def test_masks_are_paired_by_stem(tmp_path):
    for name in ("a.png", "c.png"):
        (tmp_path / name).touch()
    images = [Path("x/a.ome.tif"), Path("x/b.png")]
    assert pair_masks(images, tmp_path) == {"a": tmp_path / "a.png"}
    with pytest.raises(EmptyFolder, match="no mask in"):
        pair_masks([Path("b.png")], tmp_path)
    assert stem("a.OME.TIFF") == "a"


EXPECTED = np.array([[1, 2], [0, 1]], np.uint8)
VALUES = np.array([[3, 7], [255, 3]], np.uint8)
COLOURS = np.array(
    [[[10, 20, 30], [200, 0, 0]], [[0, 0, 0], [10, 20, 30]]], dtype=np.uint8
)


def test_a_mask_of_values(tmp_path):
    pillow.fromarray(VALUES).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", VALUES.astype(np.uint16))
    pillow.fromarray(np.dstack([VALUES] * 3)).save(tmp_path / "grey as rgb.png")
    for name in ("a.png", "a.tif", "grey as rgb.png"):
        labels = read_mask(tmp_path / name, TABLE)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, EXPECTED)


def test_a_mask_of_colours(tmp_path):
    pillow.fromarray(COLOURS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", TABLE), EXPECTED)


def test_a_palette_is_read_by_its_colours_where_they_are_known(tmp_path):
    indices = np.array([[0, 1], [2, 0]], np.uint8)
    picture = pillow.fromarray(indices, "P")
    picture.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 0])
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", TABLE), EXPECTED)


def test_a_palette_is_read_by_its_indices_otherwise(tmp_path):
    picture = pillow.fromarray(VALUES, "P")
    picture.putpalette([n % 256 for n in range(768)])
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", TABLE), EXPECTED)


def test_values_that_are_no_class_are_named(tmp_path):
    pillow.fromarray(GREY).save(tmp_path / "a.png")
    with pytest.raises(
        MaskMismatch, match=r"a\.png .* 0, 1, 2, 4, 5 \.\.\.; known: 3, 7, 255"
    ):
        read_mask(tmp_path / "a.png", TABLE)


def test_colours_that_are_no_class_are_named(tmp_path):
    coloured = COLOURS.copy()
    coloured[0, 0] = 1, 2, 3
    pillow.fromarray(coloured).save(tmp_path / "a.png")
    with pytest.raises(MaskMismatch, match=r"a\.png .* \(1, 2, 3\); known: .*10, 20"):
        read_mask(tmp_path / "a.png", TABLE)
