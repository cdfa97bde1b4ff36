"""TIFF: its images, planes and pixels."""

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from .axes import Layout, checked, gathered, resolved
from .guarding import heard, muted
from .ome import OmeFiles, ome_files
from .picture import (
    Picture,
    Samples,
    as_kept,
    check_planes,
    check_size,
    refuse,
    upright,
)
from .tiff_colour import WHITE_FIRST, Scheme, scheme
from .tiff_pages import absent_tiles, check_segments, is_lossy, read_page

GDAL_NODATA = 42113
ORIENTATION = 274


class Image:
    """One image of a file: the pages of a series, their axes and their colours."""

    def __init__(self, path: Path, series: Any, axes: str) -> None:
        self.series = series
        self.keyframe = series.keyframe
        if self.keyframe.dtype is None:
            refuse(path, "holds numbers of an unknown kind; save it as whole numbers")
        shape = tuple(int(size) for size in series.get_shape(squeeze=False))
        found = Layout(series.get_axes(squeeze=False), shape)
        self.layout = checked(path, resolved(path, found, axes), series.dtype.itemsize)
        check_size(path, self.keyframe.shape, series.dtype.itemsize)
        self.lead = self._lead(path)
        self.scheme: Scheme = scheme(path, self.keyframe, self.layout)
        self.orientation, self.orientation_note = _orientation(self.keyframe)

    def _lead(self, path: Path) -> int:
        """How many axes run over pages."""
        page = int(np.prod(self.keyframe.shape, dtype=object))
        for lead in range(len(self.layout.shape) + 1):
            if int(np.prod(self.layout.shape[lead:], dtype=object)) == page:
                return lead
        refuse(
            path, f"has pages of shape {self.keyframe.shape} that do not fit its axes"
        )

    @property
    def kind(self) -> tuple[Any, ...]:
        """What images have in common that are planes of one picture."""
        return self.layout.plane_shape, self.series.dtype, self.scheme, self.orientation


class File:
    """Images of a file that are its picture, and what is said of them."""

    def __init__(self, path: Path, axes: str) -> None:
        self.lock = threading.Lock()
        with heard(path):
            self.ome: OmeFiles = ome_files(path)
        self.parts = self.ome.parts or (path,)
        self.stamps = _stamps(self.parts)
        options: dict[str, Any] = {"omexml": self.ome.xml, **_passed_over(path)}
        with heard(path) as said:
            with tifffile.TiffFile(path, **options) as file:
                series = list(file.series)
                self.images, self.notes = _chosen(path, series, axes)
                check_segments(path, self.images[0].series, 0)
                self.lossy = is_lossy(self.images[0].keyframe)
                self.notes += absent_tiles(self.images[0].keyframe)
        self.notes += tuple(said)
        for number, image in enumerate(series):
            if image is self.images[0].series:
                self.names = self.ome.channels(number, len(series))

    def find(self, plane: int) -> tuple[Image, int]:
        """Image that holds a plane, and the number of the plane within it."""
        for image in self.images:
            count = len(image.layout.planes)
            if plane < count:
                return image, plane
            plane -= count
        raise IndexError("no such plane")

    @property
    def planes(self) -> tuple[str, ...]:
        """Label of each plane of all images."""
        if len(self.images) == 1:
            return self.images[0].layout.planes
        return tuple(
            f"s{number}-{label}".strip("-")
            for number, image in enumerate(self.images, start=1)
            for label in image.layout.planes
        )


def _passed_over(path: Path) -> dict[str, bool]:
    """Options that pass over a shape in the description that the pages do not have.

    Other software keeps tifffile's description when it crops an image.
    """
    with muted() as said, tifffile.TiffFile(path) as file:
        if not file.is_shaped:
            return {}
        list(file.series)
    wrong = any("shaped series" in record.getMessage() for record in said)
    return {"is_shaped": False} if wrong else {}


def _chosen(
    path: Path, series: list[Any], axes: str
) -> tuple[list[Image], tuple[str, ...]]:
    """Choose the largest images of a file, of one kind, and note the others."""
    whole = [_base(one) for one in series if not _is_helper(one.keyframe)]
    if not whole:
        refuse(path, "holds no image, only masks, previews or nothing")
    check_planes(path, len(whole))
    largest = max(_area(one) for one in whole)
    images = [Image(path, one, axes) for one in whole if _area(one) == largest]
    kept = [image for image in images if image.kind == images[0].kind]
    series[:] = [_base(one) for one in series]
    passed = len(series) - len(kept)
    note = f"{passed} smaller or other images of the file were passed over."
    return kept, (note,) if passed else ()


def _base(series: Any) -> Any:
    return max(series.levels, key=_area)


def _area(series: Any) -> int:
    return int(series.keyframe.imagelength) * int(series.keyframe.imagewidth)


def _is_helper(keyframe: Any) -> bool:
    """Whether a page is a reduced image or a mask of another page."""
    return bool(keyframe.subfiletype & 5) or 0 in keyframe.shape or not keyframe.shape


def _orientation(keyframe: Any) -> tuple[int, str]:
    said = keyframe.tags.valueof(ORIENTATION, 1)
    if said in range(1, 9):
        return int(said), ""
    return 1, f"Its orientation {said!r} has no meaning and was passed over."


def _nodata(image: Image) -> tuple[float | None, str]:
    said = image.keyframe.tags.valueof(GDAL_NODATA)
    if said is None:
        return None, ""
    try:
        return image.scheme.turned_value(float(str(said).strip("\0 "))), ""
    except ValueError:
        return None, f"Its nodata value {str(said)[:20]!r} is no number."


@lru_cache(maxsize=4)
def _file(path: Path, axes: str) -> File:
    return File(path, axes)


def _open(path: Path, axes: str) -> File:
    """Open what a file holds, kept for the next plane; the file itself is closed."""
    file = _file(path, axes)
    if file.stamps != _stamps(file.parts):
        _file.cache_clear()
        file = _file(path, axes)
    return file


def _stamps(parts: tuple[Path, ...]) -> tuple[tuple[int, int] | None, ...]:
    """When each part was written, and its size; None for one that is gone."""
    found = [part.stat() if part.exists() else None for part in parts]
    return tuple(one and (one.st_mtime_ns, one.st_size) for one in found)


def inspect(path: Path, axes: str) -> Picture:
    """Say what a TIFF holds."""
    file = _open(path, axes)
    image = file.images[0]
    check_planes(path, sum(len(image.layout.planes) for image in file.images))
    nodata, nodata_note = _nodata(image)
    notes = (*file.notes, nodata_note, image.orientation_note, *image.scheme.notes)
    rows, columns, _ = image.layout.plane_shape
    shown = (columns, rows) if image.orientation > 4 else (rows, columns)
    return Picture(
        path,
        file.planes,
        shown,
        image.scheme.channels(file.names),
        image.scheme.colour,
        image.scheme.dtype,
        nodata,
        file.lossy,
        file.parts,
        tuple(note for note in notes if note),
        axes,
    )


def _stored(picture: Picture, plane: int) -> tuple[Image, np.ndarray]:
    """Image of a plane, and the plane ``(H, W, K)`` as it is stored, upright."""
    file = _open(picture.path, picture.axes)
    image, number = file.find(plane)

    def page(at: int) -> np.ndarray:
        return read_page(picture.path, image.series, at)

    with file.lock, heard(picture.path):
        values = gathered(image.layout, number, image.lead, page)
    if image.series.transform is not None:
        values = image.series.transform(values)
    return image, upright(values, image.orientation)


def pixels(picture: Picture, plane: int) -> np.ndarray:
    """Read pixels ``(H, W, K)`` of a plane as they are seen."""
    image, values = _stored(picture, plane)
    return as_kept(image.scheme.shown(values), picture.dtype)


def samples(picture: Picture, plane: int) -> Samples:
    """Read samples of a plane as they are stored."""
    image, values = _stored(picture, plane)
    return Samples(
        np.ascontiguousarray(image.scheme.stored(values)),
        image.scheme.palette,
        image.scheme.transparent(values),
        image.scheme.bits,
        {},
        image.scheme.photometric == WHITE_FIRST and values.dtype.kind != "f",
    )
