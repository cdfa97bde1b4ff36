"""OME-Zarr of every version, by chunks that are decoded by hand."""

import json
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from napari_alseg.errors import UnreadableImage
from napari_alseg.store.reading import inspect, read_plane, read_samples

SIZES = {"t": 2, "c": 3, "z": 4, "y": 10, "x": 14}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.zarr"


def scales(axes, level="0"):
    """Metadata of an image with one level; no axes for None."""
    found = {"version": "0.4", "datasets": [{"path": level}]}
    return [found if axes is None else found | {"axes": axes}]


def put(path, shape, meta, fmt=2, dtype="u2", chunks=None, **options):
    """An OME-Zarr whose chunks are written by hand, and its array."""
    group = zarr.create_group(path, zarr_format=fmt)
    array = group.create_array(
        "0",
        shape=shape,
        dtype=dtype,
        chunks=chunks or shape,
        compressors=None,
        fill_value=0,
        **options,
    )
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    if chunks is None:
        key = array.metadata.encode_chunk_key((0,) * len(shape))
        file = Path(path) / "0" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(values.tobytes())
    else:
        array[...] = values
    if fmt == 2:
        group.attrs.update(meta)
    else:
        group.attrs["ome"] = {"version": "0.5", **meta}
    return values


def expected(values, axes):
    """Planes by hand: ``(N, H, W, K)``."""
    order = [axes.index(a) for a in "tzyxc" if a in axes]
    sizes = [SIZES[a] for a in "yx"] + [SIZES["c"] if "c" in axes else 1]
    return values.transpose(order).reshape(-1, *sizes)


@pytest.mark.parametrize("fmt", [2, 3])
@pytest.mark.parametrize(
    "axes", ["yx", "cyx", "yxc", "zyx", "tyx", "czyx", "tczyx", "zcyx", "xyc", "xy"]
)
def test_axes_by_name(axes, fmt, path):
    named = [{"name": axis} for axis in axes]
    values = put(path, [SIZES[a] for a in axes], {"multiscales": scales(named)}, fmt)
    picture = inspect(path)
    planes = expected(values, axes)
    assert picture.shape == (10, 14)
    assert len(picture.planes) == len(planes)
    for number, plane in enumerate(planes):
        np.testing.assert_array_equal(read_plane(picture, number), plane)
        np.testing.assert_array_equal(read_samples(picture, number).values, plane)


@pytest.mark.parametrize(
    ("axes", "planes", "channels"),
    [
        (["t", "c", "z", "y", "x"], 8, 3),
        (None, 8, 3),
        (["T", "C", "Z", "Y", "X"], 8, 3),
        (["time", "channel", "depth", "row", "col"], 8, 3),
        (
            [
                {"name": "a", "type": "time"},
                {"name": "b", "type": "channel"},
                {"name": "d", "type": "space"},
                {"name": "e", "type": "space"},
                {"name": "f", "type": "space"},
            ],
            8,
            3,
        ),
    ],
)
def test_odd_names_of_axes(axes, planes, channels, path):
    values = put(path, tuple(SIZES.values()), {"multiscales": scales(axes)})
    picture = inspect(path)
    assert (len(picture.planes), len(picture.channels)) == (planes, channels)
    want = expected(values.reshape(2, 3, 4, 10, 14), "tczyx")
    np.testing.assert_array_equal(read_plane(picture, 6), want[6])


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i2", ">f4", "f8", "u4", "?"])
def test_numbers(dtype, path):
    values = put(path, (10, 14), {"multiscales": scales(["y", "x"])}, dtype=dtype)
    picture = inspect(path)
    stored = read_samples(picture).values
    assert stored.dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(stored[..., 0], values)
    factor = 255 if dtype == "?" else 1
    np.testing.assert_array_equal(read_plane(picture)[..., 0], values * factor)
    assert read_plane(picture).dtype == picture.dtype


def test_names_of_channels(path):
    names = ["DAPI", "actin", "tubulin"]
    omero = {"channels": [{"label": name} for name in names]}
    meta = {"multiscales": scales(["c", "y", "x"]), "omero": omero}
    put(path, (3, 10, 14), meta)
    assert inspect(path).channels == tuple(names)
    assert not inspect(path).colour
    zarr.open_group(path).attrs["omero"] = {
        "channels": [{"label": name} for name in ("Red", "Green", "Blue")]
    }
    assert inspect(path).colour


def test_the_largest_level(path):
    meta = {"multiscales": scales(["y", "x"])}
    meta["multiscales"][0]["datasets"].insert(0, {"path": "small"})
    put(path, (10, 14), meta)
    zarr.open_group(path).create_array("small", shape=(5, 7), dtype="u2")
    assert inspect(path).shape == (10, 14)


@pytest.mark.parametrize("fmt", [2, 3])
def test_an_array_without_metadata(fmt, path):
    array = zarr.create_array(path, shape=(10, 14), dtype="u2", zarr_format=fmt)
    array[...] = 5
    assert (read_plane(inspect(path)) == 5).all()


def test_names_of_dimensions(path):
    array = zarr.create_array(
        path, shape=(10, 14, 3), dtype="u2", dimension_names=("y", "x", "c")
    )
    array[...] = np.arange(420).reshape(10, 14, 3)
    picture = inspect(path)
    np.testing.assert_array_equal(read_plane(picture), array[...])


def test_an_array_of_two_readings(path):
    array = zarr.create_array(path, shape=(10, 14, 3), dtype="u2", zarr_format=2)
    array[...] = np.arange(420).reshape(10, 14, 3)
    with pytest.raises(UnreadableImage, match="--axes ZYX or --axes YXC"):
        inspect(path)
    np.testing.assert_array_equal(read_plane(inspect(path, axes="YXC")), array[...])


def test_series_of_bioformats2raw(path):
    group = zarr.create_group(path, zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    shapes = [(10, 14), (5, 7), (10, 14)]
    values = [
        put(path / str(n), shape, {"multiscales": scales(["y", "x"])})
        for n, shape in enumerate(shapes)
    ]
    picture = inspect(path)
    assert picture.planes == ("s1", "s2")
    assert len(picture.notes) == 1
    np.testing.assert_array_equal(read_plane(picture, 1)[..., 0], values[2])


def test_absent_chunks_are_noted(path):
    put(path, (10, 14), {"multiscales": scales(["y", "x"])}, chunks=(5, 7))
    assert inspect(path).notes == ()
    (path / "0" / "0.0").unlink()
    picture = inspect(path)
    assert picture.notes == ("1 of its 4 chunks are absent and were read as 0.",)
    assert (read_plane(picture)[:5, :7] == 0).all()


@pytest.mark.parametrize("fmt", [2, 3])
@pytest.mark.parametrize("codec", ["blosc", "zstd", "gzip", "none", "sharded"])
def test_a_chunk_that_was_cut(codec, fmt, path):
    if codec == "sharded" and fmt == 2:
        return
    blosc = zarr.codecs.BloscCodec(cname="lz4")
    compressors = {
        (2, "blosc"): numcodecs.Blosc("lz4"),
        (2, "zstd"): numcodecs.Zstd(),
        (2, "gzip"): numcodecs.GZip(),
        (3, "blosc"): blosc,
        (3, "zstd"): zarr.codecs.ZstdCodec(),
        (3, "gzip"): zarr.codecs.GzipCodec(),
        (3, "sharded"): blosc,
    }
    array = zarr.create_array(
        path,
        shape=(40, 60),
        chunks=(20, 20),
        shards=(40, 60) if codec == "sharded" else None,
        dtype="u2",
        zarr_format=fmt,
        compressors=compressors.get((fmt, codec)),
    )
    array[...] = np.random.default_rng(0).integers(0, 4000, (40, 60))
    np.testing.assert_array_equal(read_plane(inspect(path))[..., 0], array[...])
    key = array.metadata.encode_chunk_key((0, 0))
    whole = (path / key).read_bytes()
    for keep in (0, 3, 40, len(whole) // 2, len(whole) - 1):
        (path / key).write_bytes(whole[:keep])
        with pytest.raises(UnreadableImage, match=r"a\.zarr"):
            read_plane(inspect(path))


def broken(path, change):
    """An image of two axes whose metadata were changed."""
    put(path, (10, 14), {"multiscales": scales(["y", "x"])})
    file = path / ".zattrs"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda meta: {"multiscales": scales(["c", "y", "x"])}, "names 3 axes"),
        (lambda meta: {"multiscales": scales(["y", "y"])}, "--axes"),
        (lambda meta: {"multiscales": scales(["y", "x"], "9")}, "lacks its level '9'"),
        (lambda meta: {"multiscales": []}, "cannot be read"),
        (lambda meta: {"multiscales": [{"datasets": []}]}, "no level"),
        (lambda meta: {}, "no OME-Zarr image"),
        (lambda meta: [], "a.zarr"),
        (
            lambda meta: {"plate": {"wells": [{"path": "B/3"}]}},
            "field of it, such as a.zarr/B/3/0",
        ),
        (lambda meta: {"well": {"images": [{"path": "0"}]}}, "such as a.zarr/0"),
        (lambda meta: {"bioformats2raw.layout": 3}, "a.zarr"),
    ],
)
def test_metadata_that_do_not_fit(change, said, path):
    broken(path, change)
    with pytest.raises(UnreadableImage, match=said) as raised:
        inspect(path)
    assert str(raised.value).startswith(str(path))


def test_broken_json_an_empty_folder_and_no_pixels(path, tmp_path):
    broken(path, lambda meta: meta)
    (path / ".zattrs").write_text('{"multiscales": [')
    with pytest.raises(UnreadableImage, match=r"a\.zarr"):
        inspect(path)
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(UnreadableImage, match="is no zarr"):
        inspect(tmp_path / "b.zarr")
    zarr.create_array(tmp_path / "c.zarr", shape=(0, 4, 4), dtype="u1", zarr_format=2)
    with pytest.raises(UnreadableImage, match="holds no pixel"):
        inspect(tmp_path / "c.zarr")


def test_numbers_that_are_no_image(path):
    zarr.create_array(path, shape=(4, 4), dtype="complex64", zarr_format=2)
    with pytest.raises(UnreadableImage, match="whole or real numbers"):
        inspect(path)
