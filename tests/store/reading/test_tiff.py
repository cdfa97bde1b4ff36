"""Series, stacks, parts and axes of TIFF files."""

from functools import partial

import numpy as np
import pytest
import tifffile
from PIL import Image as pillow

from napari_alseg.errors import UnreadableImage
from napari_alseg.store.reading import inspect, read_image, read_plane, read_samples

STACK = np.random.default_rng(0).integers(0, 60000, (2, 3, 4, 20, 30)).astype(np.uint16)
"""Steps of T, Z, C, Y, X."""
RGB = np.random.default_rng(1).integers(0, 255, (20, 30, 3), np.uint8)
GREY = RGB[..., 0]

write = partial(tifffile.imwrite, photometric="minisblack")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.tif"


def channels_last(plane):
    return np.moveaxis(plane, 0, -1) if plane.ndim == 3 else plane[..., None]


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {}], ids=str)
def test_a_stack_is_taken_apart(options, path):
    write(path, STACK, metadata={"axes": "TZCYX"}, **options)
    picture = inspect(path)
    assert picture.planes == ("t1-z1", "t1-z2", "t1-z3", "t2-z1", "t2-z2", "t2-z3")
    assert picture.channels == ("1", "2", "3", "4")
    for number in range(6):
        expected = channels_last(STACK[divmod(number, 3)])
        np.testing.assert_array_equal(read_plane(picture, number), expected)
        np.testing.assert_array_equal(read_samples(picture, number).values, expected)


@pytest.mark.parametrize(
    ("shape", "axes", "planes", "channels"),
    [
        ("CZYX", "CZYX", 3, 4),
        ("ZYX", "ZYX", 3, 1),
        ("CYX", "CYX", 1, 4),
        ("ZYXC", "ZYXC", 3, 4),
        ("YXC", "YXC", 1, 4),
        ("YXZ", "YXZ", 3, 1),
        ("XYZ", "XYZ", 3, 1),
        ("YZX", "YZX", 3, 1),
    ],
)
def test_axes_that_the_file_names(shape, axes, planes, channels, path):
    sizes = {"C": 4, "Z": 3, "Y": 20, "X": 30}
    array = np.arange(np.prod([sizes[axis] for axis in shape])).astype(np.uint16)
    array = array.reshape([sizes[axis] for axis in shape])
    tifffile.imwrite(path, array, metadata={"axes": axes}, photometric="minisblack")
    picture = inspect(path)
    assert len(picture.planes) == planes
    assert len(picture.channels) == channels
    order = [axes.index(axis) for axis in "ZYXC" if axis in axes]
    expected = array.transpose(order).reshape(planes, 20, 30, channels)
    for number in range(planes):
        np.testing.assert_array_equal(read_plane(picture, number), expected[number])


def test_one_plane_is_read_without_the_others(path, monkeypatch):
    write(path, STACK[:, :, 0], metadata={"axes": "TZYX"}, compression="zlib")
    read = []
    whole = tifffile.TiffPage.asarray
    frame = tifffile.TiffFrame.asarray
    monkeypatch.setattr(
        tifffile.TiffPage,
        "asarray",
        lambda self, **k: read.append(1) or whole(self, **k),
    )
    monkeypatch.setattr(
        tifffile.TiffFrame,
        "asarray",
        lambda self, **k: read.append(1) or frame(self, **k),
    )
    picture = inspect(path)
    assert read == []
    np.testing.assert_array_equal(read_plane(picture, 4)[..., 0], STACK[1, 1, 0])
    assert 1 <= len(read) <= 2  # a frame is read through its key page


def test_a_stack_that_one_page_describes(path):
    tifffile.imwrite(path, STACK[0], imagej=True, metadata={"axes": "ZCYX"})
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        second = file.pages[0]
        after = second.offset + 2 + 12 * len(second.tags)
    assert content[after : after + 4] != bytes(4)
    path.write_bytes(content[:after] + bytes(4) + content[after + 4 :])
    picture = inspect(path)
    assert picture.planes == ("z1", "z2", "z3")
    np.testing.assert_array_equal(read_plane(picture, 2), channels_last(STACK[0, 2]))
    path.write_bytes(path.read_bytes()[: len(content) // 2])
    with pytest.raises(UnreadableImage):
        read_plane(inspect(path), 2)


def test_shaped_and_truncated_on_purpose(path):
    write(path, STACK[0, :, 0], truncate=True, byteorder=">")
    picture = inspect(path)
    assert picture.planes == ("p1", "p2", "p3")
    np.testing.assert_array_equal(read_plane(picture, 2)[..., 0], STACK[0, 2, 0])


@pytest.mark.parametrize(("shape", "planes"), [((5, 20, 30), 5), ((1, 20, 30), 1)])
def test_pages_without_names_are_planes(shape, planes, path):
    tifffile.imwrite(path, np.zeros(shape, np.uint8))
    assert len(inspect(path).planes) == planes


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_two_readings_are_a_question(count, path):
    array = np.arange(20 * 30 * count).astype(np.float32).reshape(20, 30, count)
    tifffile.imwrite(path, array, photometric="minisblack")
    with pytest.raises(UnreadableImage, match="--axes ZYX or --axes YXC"):
        inspect(path)
    np.testing.assert_array_equal(read_image(path, axes="YXC"), array)
    picture = inspect(path, axes="zyx")
    assert picture.shape == (30, count)
    assert len(picture.planes) == 20
    np.testing.assert_array_equal(read_plane(picture, 7)[..., 0], array[7])


def test_an_axis_of_one_step_is_no_question(path):
    tifffile.imwrite(path, GREY[..., None])
    np.testing.assert_array_equal(read_image(path), GREY[..., None])
    np.testing.assert_array_equal(read_image(path, axes="YXC"), GREY[..., None])


def test_axes_given_to_a_picture_in_colour_change_nothing(path):
    tifffile.imwrite(path, RGB, photometric="rgb")
    np.testing.assert_array_equal(read_image(path, axes="CYX"), RGB)


@pytest.mark.parametrize("axes", ["YX", "TZYX", "YYX", "ZCT"])
def test_axes_that_do_not_fit(axes, path):
    write(path, STACK[0, :, 0])
    with pytest.raises(UnreadableImage, match=r"^\S*a.tif .*--axes"):
        inspect(path, axes=axes)


def test_samples_beyond_red_green_and_blue_stay_unless_they_are_alpha(path):
    five = np.dstack([RGB, RGB[..., :2]])
    kinds = ["unspecified", "unassalpha"]
    tifffile.imwrite(path, five, photometric="rgb", extrasamples=kinds)
    picture = inspect(path)
    assert picture.channels == ("red", "green", "blue", "4")
    assert picture.colour
    np.testing.assert_array_equal(read_plane(picture), five[..., :4])
    clear = read_samples(picture).transparent
    np.testing.assert_array_equal(clear, five[..., 4] == 0)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_two_channels_in_samples(planar, path):
    two = RGB[..., :2].astype(np.uint16) * 200
    stored = two if planar == "contig" else np.moveaxis(two, -1, 0)
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar)
    assert inspect(path).channels == ("1", "2")
    np.testing.assert_array_equal(read_image(path), two)


@pytest.mark.parametrize("first", [True, False])
def test_a_thumbnail_does_not_win(first, path):
    pages = [RGB[::4, ::4], RGB] if first else [RGB, RGB[::4, ::4]]
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page, photometric="rgb", metadata=None)
    picture = inspect(path)
    np.testing.assert_array_equal(read_plane(picture), RGB)


def test_equal_series_are_planes(path):
    with tifffile.TiffWriter(path, ome=True) as file:
        for page in (GREY, GREY[::2, ::2], 255 - GREY):
            file.write(page, photometric="minisblack")
    picture = inspect(path)
    assert picture.planes == ("s1", "s2")
    assert picture.notes == ("1 smaller or other images of the file were passed over.",)
    np.testing.assert_array_equal(read_plane(picture, 1)[..., 0], 255 - GREY)


@pytest.mark.parametrize("ome", [True, False])
def test_of_a_pyramid_the_largest_level_is_read(ome, path):
    with tifffile.TiffWriter(path, ome=ome) as file:
        options = {"photometric": "rgb", "tile": (16, 16)}
        file.write(RGB, subifds=2, **options)
        file.write(RGB[::2, ::2], subfiletype=1, **options)
        file.write(RGB[::4, ::4], subfiletype=1, **options)
    np.testing.assert_array_equal(read_image(path), RGB)


def test_overviews_and_a_mask_beside_an_image(path):
    with tifffile.TiffWriter(path) as file:
        options = {"metadata": None, "tile": (16, 16)}
        file.write(GREY, photometric="minisblack", **options)
        file.write(GREY > 9, photometric="mask", subfiletype=4, **options)
        file.write(GREY[::2, ::2], photometric="minisblack", subfiletype=1, **options)
    np.testing.assert_array_equal(read_image(path)[..., 0], GREY)


@pytest.mark.parametrize(
    ("text", "nodata"), [("-9999", -9999.0), ("nan", np.nan), ("no", None)]
)
def test_nodata(text, nodata, path):
    tags = [(42113, "s", 0, text, True)]
    tifffile.imwrite(path, GREY.astype(np.float32), extratags=tags)
    picture = inspect(path)
    np.testing.assert_equal(picture.nodata, nodata)
    assert bool(picture.notes) == (nodata is None)


def test_nodata_is_turned_with_the_values(path):
    tags = [(42113, "s", 0, "0", True)]
    tifffile.imwrite(path, GREY, photometric="miniswhite", extratags=tags)
    picture = inspect(path)
    assert picture.nodata == 255
    np.testing.assert_array_equal(read_plane(picture)[..., 0], 255 - GREY)


@pytest.mark.parametrize("by", ["tifffile", "pillow"])
def test_jpeg_within_tiff(by, path):
    smooth = np.dstack(np.meshgrid(np.arange(96) * 2, np.arange(64) * 3)).astype("u1")
    smooth = np.dstack([smooth, smooth[..., 0]])
    if by == "pillow":
        pillow.fromarray(smooth).save(path, compression="jpeg", quality=95)
    else:
        options = {"photometric": "ycbcr", "compression": "jpeg", "tile": (32, 32)}
        tifffile.imwrite(path, smooth, compressionargs={"level": 95}, **options)
    picture = inspect(path)
    assert picture.colour
    assert picture.lossy
    shown = np.asarray(pillow.open(path).convert("RGB")).astype(int)
    assert abs(read_plane(picture) - shown).max() <= 3


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("compression", ["webp", "jpeg2000"])
def test_whether_compression_changed_values(compression, lossless, path):
    if compression == "webp":
        args = {"lossless": lossless}
    else:
        args = {"reversible": lossless, "level": 0 if lossless else 40}
    options = {"photometric": "rgb", "compression": compression}
    tifffile.imwrite(path, RGB, compressionargs=args, **options)
    picture = inspect(path)
    assert picture.lossy != lossless
    assert np.array_equal(read_plane(picture), RGB) == lossless


@pytest.mark.parametrize("photometric", ["cielab", "cfa", "logluv", "ycbcr"])
def test_colours_that_are_not_read(photometric, path):
    samples = GREY if photometric == "cfa" else RGB
    tifffile.imwrite(path, samples, photometric=photometric)
    with pytest.raises(UnreadableImage, match="save it as RGB"):
        inspect(path)


def test_a_colour_map_of_several_channels_is_passed_over(path):
    five = np.arange(5 * 20 * 30).reshape(5, 20, 30).astype(np.uint8)
    colours = np.arange(768, dtype=np.uint16).reshape(3, 256)
    options = {"imagej": True, "metadata": {"axes": "CYX"}, "colormap": colours}
    tifffile.imwrite(path, five, **options)
    picture = inspect(path)
    assert picture.notes
    np.testing.assert_array_equal(read_plane(picture), channels_last(five))


def test_channels_with_samples_of_their_own(path):
    two = np.stack([RGB, 255 - RGB])
    options = {"ome": True, "metadata": {"axes": "CYXS"}, "photometric": "rgb"}
    tifffile.imwrite(path, two, **options)
    picture = inspect(path)
    assert not picture.colour
    assert picture.channels == ("1", "2", "3", "4", "5", "6")
    np.testing.assert_array_equal(read_plane(picture), np.dstack(two))


@pytest.mark.parametrize("shape", [(20, 30), (5, 4)])
def test_a_shape_that_is_not_that_of_the_pages(shape, path):
    """As of an image that another program has cropped."""
    pages = STACK[0, :, 0, : shape[0], : shape[1]]
    with tifffile.TiffWriter(path) as file:
        for number, page in enumerate(pages):
            text = '{"shape": [7, 20, 31]}' if number == 0 else None
            file.write(page, description=text, metadata=None)
    picture = inspect(path)
    assert len(picture.planes) == 3
    np.testing.assert_array_equal(read_plane(picture, 2)[..., 0], pages[2])


def test_tiles_that_were_never_written_are_noted(path):
    options = {"tile": (16, 16), "compression": "zlib"}
    tifffile.imwrite(path, np.kron(GREY, np.ones((2, 2), "u1")), **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        for code in (324, 325):
            tag = file.pages[0].tags[code]
            tag.overwrite((0, *tag.value[1:]))
    picture = inspect(path)
    assert picture.notes == ("1 of its 12 tiles are absent and were read as 0.",)
    assert (read_plane(picture)[:16, :16] == 0).all()


def test_a_damaged_private_tag_is_no_reason_to_refuse(path):
    tifffile.imwrite(path, GREY, extratags=[(65000, "H", 1, 7, True)])
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags[65000].offset
    content = bytearray(path.read_bytes())
    content[at + 2 : at + 4] = b"\x77\x00"  # no type of a tag
    path.write_bytes(content)
    np.testing.assert_array_equal(read_image(path)[..., 0], GREY)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
def test_a_file_that_was_cut_is_found(compression, path):
    tifffile.imwrite(
        path, np.kron(GREY, np.ones((8, 8), "u1")), compression=compression
    )
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(UnreadableImage, match="is cut short: it has"):
        inspect(path)


def test_a_jpeg_within_tiff_without_its_end(path):
    large = np.kron(GREY, np.ones((8, 8), "u1"))
    tifffile.imwrite(path, large, compression="jpeg")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        end = page.dataoffsets[0] + page.databytecounts[0]
    content[end - 400 : end] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match="JPEG tile that is cut short"):
        read_image(path)
