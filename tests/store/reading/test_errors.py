"""Sizes, names and threads: what is refused before it is read, and how."""

import logging
import os
import struct
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from files_by_hand import by_pillow, by_tifffile, chunk, png, tiff
from PIL import Image as pillow

from napari_alseg.errors import UnreadableImage
from napari_alseg.store.reading import inspect, read_image, read_plane
from napari_alseg.store.reading.guarding import heard

ROWS, COLUMNS = 5, 7
RGB = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)
GREY, WORDS = RGB[..., :1], RGB.astype(np.uint16) * 257


@pytest.fixture
def write(tmp_path):
    """Write bytes as a file, whose ending says nothing."""

    def written(content, name="a.bin"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return written


def test_a_large_png_is_read(write):
    content = by_pillow(np.full((13500, 13500), 90, np.uint8), "PNG")
    assert inspect(write(content)).shape == (13500, 13500)


def test_more_than_memory_is_refused_before_it_is_read(write):
    head = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(UnreadableImage, match="GiB of free memory"):
        inspect(write(b"\x89PNG\r\n\x1a\n" + body))
    side = 4, [2**31]
    wide = tiff(GREY, 8, 1, t256=side, t257=side, t278=side)
    with pytest.raises(UnreadableImage, match="GiB of free memory"):
        inspect(write(wide))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_whose_checksum_is_wrong(bits, write):
    content = bytearray(png(RGB if bits == 8 else WORDS, bits, 2))
    content[content.index(b"IEND") - 5] ^= 1
    with pytest.raises(UnreadableImage, match="damaged in its chunk IDAT"):
        read_image(write(bytes(content)))


def test_damaged_exif_is_no_reason_to_refuse(write):
    exif = pillow.Exif()
    exif[274] = 6
    content = bytearray(by_pillow(RGB, "JPEG", exif=exif))
    at = content.index(b"Exif\0\0") + 6
    content[at : at + 8] = b"notatiff"
    assert inspect(write(bytes(content))).shape == (ROWS, COLUMNS)


def test_many_threads_at_once(tmp_path):
    """Nothing that one reader hears or silences reaches another."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(by_tifffile(WORDS[..., 0]))
    bad.write_bytes(tiff(GREY, 8, 1, t278=(3, [1])))  # tifffile but logs an error

    def attempt(number):
        if number % 2:
            with pytest.raises(UnreadableImage):
                read_image(bad)
        else:
            np.testing.assert_array_equal(read_image(good), WORDS[..., :1])

    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(attempt, range(80)))
    assert warnings.filters == before


def test_what_tifffile_says_in_another_thread_is_of_another_file(tmp_path):
    def say():
        logging.getLogger("tifffile").error("a page is missing")

    with heard(tmp_path / "good.tif"):
        other = threading.Thread(target=say)
        other.start()
        other.join()
    with pytest.raises(UnreadableImage, match="a page is missing"):
        with heard(tmp_path / "bad.tif"):
            say()


def test_what_is_neither_file_nor_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableImage, match="neither a file nor a folder"):
        inspect(tmp_path / "pipe.png")


def test_errors_begin_with_the_path(write, tmp_path):
    wrong = {"empty": b"", "html": b"<html>", "cut": by_pillow(RGB, "PNG")[:60]}
    for name, content in wrong.items():
        path = write(content, name)
        with pytest.raises(UnreadableImage) as raised:
            inspect(path)
        assert str(raised.value).startswith(str(path))
    with pytest.raises(UnreadableImage, match="does not exist"):
        inspect(tmp_path / "nothing.png")
    with pytest.raises(UnreadableImage, match="numbered from 0; 1 is none"):
        read_plane(inspect(write(png(GREY, 8, 0))), 1)


def test_a_name_that_is_not_utf8_is_printable(tmp_path):
    path = tmp_path / "caf\udce9.png"
    with pytest.raises(UnreadableImage, match="not UTF-8") as raised:
        inspect(path)
    str(raised.value).encode("utf-8")
    assert "caf\\udce9.png" in str(raised.value)
