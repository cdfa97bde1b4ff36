"""OME-TIFF: names of channels, and images in several files."""

import logging

import numpy as np
import pytest
import tifffile

from napari_alseg.errors import UnreadableImage
from napari_alseg.store.reading import inspect, read_image, read_plane

STACK = np.random.default_rng(0).integers(0, 60000, (4, 20, 30)).astype(np.uint16)


def test_channel_names_of_ome(path):
    names = ["DAPI", "actin", "tubulin", "BF"]
    metadata = {"axes": "CYX", "Channel": {"Name": names}}
    tifffile.imwrite(path, STACK, ome=True, metadata=metadata)
    assert inspect(path).channels == tuple(names)


XML = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
    ' UUID="{own}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
    'Type="uint16" SizeX="30" SizeY="20" SizeC="2" SizeZ="1" SizeT="1">'
    '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
    '<Channel ID="Channel:0:1" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
)
DATA = (
    '<TiffData FirstC="{n}" IFD="0" PlaneCount="1">'
    '<UUID FileName="c{n}.ome.tif">urn:uuid:{n}</UUID></TiffData>'
)
BINARY = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
    ' UUID="urn:uuid:{n}"><BinaryOnly MetadataFile="{file}" UUID="urn:uuid:9"/></OME>'
)


def write_parts(folder, descriptions):
    for number, text in enumerate(descriptions):
        array = STACK[number]
        file = folder / f"c{number}.ome.tif"
        tifffile.imwrite(file, array, description=text, metadata=None)
    return [folder / "c0.ome.tif", folder / "c1.ome.tif"]


def both(own):
    return XML.format(own=own, data=DATA.format(n=0) + DATA.format(n=1))


def test_an_image_in_several_files(tmp_path):
    parts = write_parts(tmp_path, [both("urn:uuid:0"), both("urn:uuid:1")])
    for part in parts:
        picture = inspect(part)
        assert sorted(picture.parts) == parts
        expected = np.moveaxis(STACK[:2], 0, -1)
        np.testing.assert_array_equal(read_plane(picture), expected)
    parts[1].unlink()
    with pytest.raises(UnreadableImage, match=r"c0.ome.tif .* lacks c1.ome.tif"):
        inspect(parts[0])


def test_parts_whose_metadata_are_elsewhere(tmp_path):
    texts = [BINARY.format(n=n, file="a.companion.ome") for n in range(2)]
    parts = write_parts(tmp_path, texts)
    with pytest.raises(
        UnreadableImage, match=r"'a.companion.ome', which is not beside"
    ):
        inspect(parts[1])
    (tmp_path / "a.companion.ome").write_text(both("urn:uuid:9"))
    picture = inspect(parts[1])
    assert sorted(picture.parts) == parts
    np.testing.assert_array_equal(read_plane(picture), np.moveaxis(STACK[:2], 0, -1))


def test_what_tifffile_only_logs_is_an_error(tmp_path, caplog):
    more = XML.replace('SizeZ="1"', 'SizeZ="3"').format(own="", data="<TiffData/>")
    file = tmp_path / "a.ome.tif"
    tifffile.imwrite(file, STACK[0], description=more, metadata=None)
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(UnreadableImage, match="missing"),
    ):
        inspect(file)
    assert caplog.text == ""


def test_an_ome_tiff_that_was_renamed(tmp_path):
    text = XML.format(own="", data=DATA.format(n=0)).replace(' UUID=""', "")
    file = tmp_path / "renamed.ome.tif"
    text = text.replace('SizeC="2"', 'SizeC="1"')
    tifffile.imwrite(file, STACK[0], description=text, metadata=None)
    np.testing.assert_array_equal(read_image(file)[..., 0], STACK[0])
