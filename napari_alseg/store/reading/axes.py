"""Which axis of an array is rows, columns or channels; all others are stacks."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .picture import check_planes, check_size, refuse

UNNAMED = "QI"
"""tifffile's letters of an axis that the file does not name."""
LABELS = {"Q": "p", "I": "p"}
FEW = 8
"""The last axis may be one of channels if it is no longer than this."""


@dataclass(frozen=True)
class Layout:
    """Axes of an array by letters, with their sizes.

    Y and X are rows and columns, C and S channels. Every other axis is taken apart
    plane by plane.
    """

    axes: str
    shape: tuple[int, ...]

    def size(self, letters: str) -> int:
        """Count the steps along some axes, together.

        Examples
        --------
        >>> Layout("ZCYX", (5, 3, 40, 60)).size("CS")
        3
        """
        sizes = zip(self.axes, self.shape, strict=True)
        return int(np.prod([n for axis, n in sizes if axis in letters], dtype=object))

    @property
    def plane_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of a plane."""
        return self.size("Y"), self.size("X"), self.size("CS")

    @property
    def stacked(self) -> tuple[tuple[int, str, int], ...]:
        """Position, letter and size of each axis that is taken apart."""
        return tuple(
            (at, axis, size)
            for at, (axis, size) in enumerate(zip(self.axes, self.shape, strict=True))
            if axis not in "YXCS"
        )

    @property
    def planes(self) -> tuple[str, ...]:
        """Label of each plane, in order.

        Examples
        --------
        >>> Layout("TZYX", (2, 2, 40, 60)).planes
        ('t1-z1', 't1-z2', 't2-z1', 't2-z2')
        """
        steps = [
            [f"{LABELS.get(axis, axis.lower())}{n + 1}" for n in range(size)]
            for _, axis, size in self.stacked
            if size > 1
        ]
        return tuple("-".join(labels) for labels in itertools.product(*steps))

    def selection(self, plane: int) -> tuple[int | slice, ...]:
        """Index that cuts one plane, of all its channels, from the array."""
        index: list[int | slice] = [slice(None)] * len(self.axes)
        sizes = [size for _, _, size in self.stacked]
        steps = np.unravel_index(plane, sizes) if sizes else ()
        for (at, _, _), step in zip(self.stacked, steps, strict=True):
            index[at] = int(step)
        return tuple(index)

    def channels_last(self, plane: np.ndarray) -> np.ndarray:
        """Plane of shape ``(H, W, K)``; its axes were Y, X, C and S in any order."""
        axes = [axis for axis in self.axes if axis in "YXCS"]
        order = [axes.index(axis) for axis in "YXCS" if axis in axes]
        rows, columns, channels = self.plane_shape
        return plane.transpose(order).reshape(rows, columns, channels)


def checked(path: Path, layout: Layout, itemsize: int) -> Layout:
    """Return the layout if its planes can be told apart and one fits into memory."""
    for letter in "YXCS":
        if layout.axes.count(letter) > 1 or (
            letter in "YX" and letter not in layout.axes
        ):
            _refuse_axes(path, layout)
    check_size(path, layout.shape, 0)
    check_planes(path, layout.size("".join(a for _, a, _ in layout.stacked)))
    check_size(path, layout.plane_shape, itemsize)
    return layout


def _refuse_axes(path: Path, layout: Layout) -> None:
    refuse(
        path,
        f"has axes {layout.axes or 'without names'} of sizes {layout.shape}; one of "
        f"rows (Y), one of columns (X) and at most one of channels (C) are wanted; "
        f"name them with --axes, as in --axes ZYX",
    )


def resolved(path: Path, layout: Layout, given: str) -> Layout:
    """Name the axes by what the file says and, where it is silent, by those given.

    An image that has but rows, columns and samples needs no axes, and an axis of one
    step needs no letter.
    """
    if not {*_squeezed(layout).axes} - set("YXS"):
        return _squeezed(layout)
    if given:
        return _renamed(path, layout, given.upper())
    layout = _squeezed(layout)
    _refuse_two_readings(path, layout)
    return layout


def _squeezed(layout: Layout) -> Layout:
    kept = [
        (axis, size)
        for axis, size in zip(layout.axes, layout.shape, strict=True)
        if size != 1 or axis in "YX"
    ]
    return Layout("".join(a for a, _ in kept), tuple(n for _, n in kept))


def _renamed(path: Path, layout: Layout, given: str) -> Layout:
    wide = _squeezed(layout)
    long = tuple(size for size in layout.shape if size != 1)
    for shape in (layout.shape, wide.shape, long):
        if len(shape) == len(given):
            return _squeezed(Layout(given.replace("S", "C"), shape))
    refuse(
        path,
        f"has {len(wide.shape)} axes of sizes {wide.shape}, and --axes {given} names "
        f"{len(given)}; give a letter for each",
    )


def _refuse_two_readings(path: Path, layout: Layout) -> None:
    """Refuse pages narrower than they are many, whose columns may be channels."""
    axes, shape = layout.axes, layout.shape
    if not axes.endswith("YX") or len(axes) < 3 or axes[-3] not in UNNAMED:
        return
    count, rows, columns = shape[-3:]
    if columns <= FEW and count > columns:
        before = "T" * (len(axes) - 3)
        refuse(
            path,
            f"has the shape {shape} without names of its axes: {count} planes of "
            f"{rows} x {columns} pixels, or an image of {count} x {rows} pixels with "
            f"{columns} channels? Say so with --axes {before}ZYX or --axes "
            f"{before}YXC",
        )


def blocks(
    layout: Layout, plane: int, lead: int
) -> Iterator[tuple[int, tuple[int | slice, ...]]]:
    """Pages that hold a plane, and where each lies in the plane.

    The first `lead` axes run over pages, the others lie within a page.
    """
    cut = layout.selection(plane)[:lead]
    sizes = layout.shape[:lead]
    steps = [
        range(size) if isinstance(at, slice) else (at,)
        for at, size in zip(cut, sizes, strict=True)
    ]
    kept = [at for at, step in enumerate(cut) if isinstance(step, slice)]
    for position in itertools.product(*steps):
        page = int(np.ravel_multi_index(position, sizes)) if sizes else 0
        yield page, tuple(position[at] for at in kept)


def gathered(
    layout: Layout, plane: int, lead: int, page: Callable[[int], np.ndarray]
) -> np.ndarray:
    """One plane ``(H, W, K)`` of an array that is stored in pages.

    Parameters
    ----------
    layout
        Axes of the whole array.
    plane
        Number of the plane.
    lead
        How many of the axes run over pages.
    page
        Reads a page by its number.
    """
    cut, within = layout.selection(plane), layout.shape[lead:]
    found: np.ndarray | None = None
    for number, where in blocks(layout, plane, lead):
        block = page(number).reshape(within)[cut[lead:]]
        if not where:
            return layout.channels_last(block)
        if found is None:
            kept = [
                n for n, c in zip(layout.shape, cut, strict=True) if c == slice(None)
            ]
            found = np.empty(kept, block.dtype)
        found[where] = block
    assert found is not None
    return layout.channels_last(found)
