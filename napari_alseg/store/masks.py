"""What the pixels of masks mean: one rule for all masks of a project.

`facts_of` collects what one mask holds, `readings` says which rules fit all of them,
and `apply_rule` makes labels of a mask by the one rule that was found or chosen.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import ndimage

from napari_alseg.arrays import LabelMap
from napari_alseg.errors import MaskMismatch

from .classes import Colour
from .reading import Picture, Samples, read_samples

By = Literal["value", "colour", "channel"]
Key = int | Colour
"""A value, a colour, or the number of a channel."""

MOST_SHOWN = 40
"""A rule of more values is told by spans of them."""
MARK, MARKED_LABELS = "napari-alseg", "labels"
"""Text in a PNG that we wrote: it holds labels (0 is unlabelled, v is class v), or as
JSON the class of each value."""
APART, NEAR, NEARLY_ALL = 96, 48, 0.98
"""Values of a lossy mask are told apart if they lie this far from one another and
nearly all pixels near one of them."""


@dataclass(frozen=True)
class MaskRule:
    """What the values or colours of masks mean.

    Attributes
    ----------
    by
        Whether a pixel is read by its value, its colour, or the channel that is set.
    labels
        Label of each value, colour or channel; 0 leaves the pixel unlabelled.
    other
        Label of all that is not listed; None refuses it.
    nearest
        Take the nearest of the listed ones, as lossy files need.
    """

    by: By
    labels: dict[Key, int] = field(hash=False)
    other: int | None = None
    nearest: bool = False

    def to_json(self) -> dict[str, Any]:
        """Rule as plain JSON values; `from_json` reads them.

        Examples
        --------
        >>> MaskRule("value", {0: 1, 255: 0}).to_json()["labels"]
        [[0, 1], [255, 0]]
        """
        labels = [
            [list(key) if isinstance(key, tuple) else key, label]
            for key, label in self.labels.items()
        ]
        rest = {"other": self.other, "nearest": self.nearest}
        return {"by": self.by, "labels": labels, **rest}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "MaskRule":
        """Return the rule of `to_json`."""
        labels: dict[Key, int] = {
            tuple(key) if isinstance(key, list) else key: label
            for key, label in found["labels"]
        }
        return cls(found["by"], labels, found["other"], found["nearest"])

    def values_of_labels(self, classes: int) -> dict[int, int]:
        """Value to write for each label 0 to `classes`, so that it is read back.

        A label that the rule has no value for gets one that it does not know: 255 or
        the lowest that is free. Rules by colour or channel, or that give all else a
        class, have no values: labels stay as they are.
        """
        if self.by != "value" or self.other:
            return {}
        found: dict[int, int] = {}
        for value, label in self.labels.items():
            if int(value) >= 0:  # type: ignore[arg-type]
                found.setdefault(label, int(value))  # type: ignore[arg-type]
        free = (v for v in (255, *range(2**16)) if v not in self.labels)
        for label in range(classes + 1):
            if label not in found:
                found[label] = next(free)
        return {label: found[label] for label in range(classes + 1)}

    def sentence(self, names: Sequence[str]) -> str:
        """Say the rule: each value and what it means.

        Examples
        --------
        >>> MaskRule("value", {0: 1, 1: 2, 255: 0}).sentence(["sky", "car"])
        '0 = sky, 1 = car, 255 = unlabelled'
        """
        meaning = {0: "unlabelled", **dict(enumerate(names, start=1))}
        parts = [f"{key} = {meaning[label]}" for key, label in self._spans()]
        if self.other is not None:
            parts.append(f"all else = {meaning[self.other]}")
        text = ", ".join(parts)
        lead = {"value": "", "colour": "by colour: ", "channel": "by channel: "}
        return f"{lead[self.by]}{text}{' (the nearest)' if self.nearest else ''}"

    def _spans(self) -> Iterable[tuple[str, int]]:
        """Yield each key as people read it and its label; of many, spans of them."""
        shown = {self._shown(key): label for key, label in self.labels.items()}
        if len(shown) <= MOST_SHOWN:
            yield from shown.items()
            return
        for label in sorted(set(shown.values())):
            keys = [key for key, other in shown.items() if other == label]
            yield (f"{keys[0]}..{keys[-1]}" if keys[1:] else keys[0]), label

    def _shown(self, key: Key) -> str:
        if self.by == "channel":  # people count from 1
            return str(int(key) + 1)  # type: ignore[arg-type]
        return shown_key(key)


def shown_key(key: Key) -> str:
    """Value or a colour as people write it.

    Examples
    --------
    >>> shown_key(7), shown_key((255, 0, 16))
    ('7', '#ff0010')
    """
    if isinstance(key, tuple):
        return "#{:02x}{:02x}{:02x}".format(*key)
    return str(key)


@dataclass(frozen=True)
class MaskFacts:
    """What one mask holds, whatever it means."""

    path: Path
    shape: tuple[int, int]
    pixels: Counter[tuple[int | None, Colour | None]]
    """Number of pixels of each value and colour; None where there is none."""
    channels: tuple[int, ...] | None
    """Pixels of each channel if just one of them is set in each pixel."""
    transparent: int
    """Pixels without opacity or data; they stay unlabelled."""
    plain: bool
    """Whether it is plain grey: without a palette and not saved as colours."""
    bits: int
    lossy: bool
    mark: str
    """What the file says of its values: 'labels', the meaning of each, or nothing."""
    objects: bool
    """Whether each value above 0 is one connected object."""
    turned: bool = False
    """Whether it has one bit and says that 0 is white, which few writers mean."""


class MaskPixels(NamedTuple):
    """One mask, ready to be read by any rule."""

    values: np.ndarray | None
    colours: np.ndarray | None
    """One number a pixel: red * 65536 + green * 256 + blue."""
    channel: np.ndarray | None
    transparent: np.ndarray | None
    plain: bool


def mask_pixels(samples: Samples, nodata: float | None = None) -> MaskPixels:
    """Take values, colours and channels out of the samples of a mask."""
    stored = samples.values
    transparent = samples.transparent
    if stored.dtype.kind == "f":
        gaps = ~np.isfinite(stored).all(axis=2)
        transparent = gaps if transparent is None else transparent | gaps
        stored = np.where(np.isfinite(stored), stored, 0)
    if nodata is not None and np.isfinite(nodata):
        gaps = (stored == nodata).all(axis=2)
        transparent = gaps if transparent is None else transparent | gaps
    return MaskPixels(
        _values(stored),
        _colours(stored, samples),
        _channel(stored),
        transparent if transparent is not None and transparent.any() else None,
        stored.shape[2] == 1 and samples.palette is None,
    )


def _values(stored: np.ndarray) -> np.ndarray | None:
    """Whole numbers of a mask of one channel, of equal ones, or in the first alone."""
    first = stored[..., 0]
    rest = stored[..., 1:]
    if stored.shape[2] not in (1, 3):
        return None
    if rest.any() and (rest != stored[..., :1]).any():
        return None
    if stored.dtype.kind == "f":
        if (first != np.rint(first)).any() or np.abs(first).max(initial=0) > 2**31:
            return None
    return np.asarray(first.astype(np.int64))


def _colours(stored: np.ndarray, samples: Samples) -> np.ndarray | None:
    if samples.palette is not None:
        index = stored[..., 0].astype(np.int64)
        table = _codes(samples.palette.astype(np.int64))
        if index.max(initial=0) >= len(table):
            return None
        return np.asarray(table[index])
    if stored.dtype.kind == "f" or stored.shape[2] not in (1, 3):
        return None
    whole = stored.astype(np.int64)
    if samples.bits < 8:
        whole = whole * (255 // (2**samples.bits - 1))
    elif whole.max(initial=0) > 255:
        if (whole % 257).any() or whole.max() > 65535:
            return None
        whole //= 257
    if whole.min(initial=0) < 0:
        return None
    return _codes(np.broadcast_to(whole, (*whole.shape[:2], 3)))


def _codes(colours: np.ndarray) -> np.ndarray:
    return np.asarray(
        (colours[..., 0] << 16) | (colours[..., 1] << 8) | colours[..., 2]
    )


def _colour(code: int) -> Colour:
    return code >> 16, code >> 8 & 255, code & 255


def _channel(stored: np.ndarray) -> np.ndarray | None:
    """Return the number of the one channel that is set in each pixel."""
    if stored.shape[2] < 2:
        return None
    top = stored.max(initial=0)
    if top == 0 or not np.isin(stored, (0, top)).all():
        return None
    if ((stored != 0).sum(axis=2) != 1).any():
        return None
    return np.asarray(stored.argmax(axis=2))


def read_mask_pixels(picture: Picture, plane: int) -> tuple[MaskPixels, Samples]:
    """Read a plane of a mask."""
    samples = read_samples(picture, plane)
    return mask_pixels(samples, picture.nodata), samples


def facts_of(picture: Picture, classes: int, plane: int = 0) -> MaskFacts:
    """Collect what a mask holds.

    Parameters
    ----------
    picture : Picture
        The file of the mask, as `inspect` gives it.
    classes : int
        How many classes there are; only objects that could be classes are looked at.
    plane : int

    Raises
    ------
    UnreadableImage
        If the file cannot be read.
    """
    pixels, samples = read_mask_pixels(picture, plane)
    seen = slice(None) if pixels.transparent is None else ~pixels.transparent
    counted = _counted(pixels, seen)
    channel = None if pixels.channel is None else pixels.channel[seen].ravel()
    hidden = 0 if pixels.transparent is None else int(pixels.transparent.sum())
    return MaskFacts(
        picture.path,
        picture.shape,
        counted,
        None
        if channel is None
        else tuple(np.bincount(channel, minlength=samples.values.shape[2]).tolist()),
        hidden,
        pixels.plain,
        samples.bits,
        picture.lossy,
        samples.text.get(MARK, ""),
        samples.values.shape[2] == 1
        and samples.values.dtype.kind in "iu"
        and _are_objects(pixels.values, counted, classes),
        samples.turned and samples.bits == 1,
    )


def _counted(
    pixels: MaskPixels, seen: Any
) -> Counter[tuple[int | None, Colour | None]]:
    """Count the pixels of each value and colour; one follows from the other."""
    counted: Counter[tuple[int | None, Colour | None]] = Counter()
    by_value = pixels.values if pixels.values is not None else pixels.colours
    if by_value is None:
        return counted
    found, first, counts = np.unique(
        by_value[seen].ravel(), return_index=True, return_counts=True
    )
    other = None if pixels.colours is None else pixels.colours[seen].ravel()[first]
    for at, (value, count) in enumerate(
        zip(found.tolist(), counts.tolist(), strict=True)
    ):
        colour = None if other is None else _colour(int(other[at]))
        counted[None if pixels.values is None else value, colour] = count
    return counted


def _are_objects(values: np.ndarray | None, counted: Any, classes: int) -> bool:
    """Whether values that could be classes each are one connected object."""
    positive = [value for value, _ in counted if value is not None and value > 0]
    if values is None or not 2 <= len(positive) or max(positive) > classes:
        return False
    return all(ndimage.label(values == value)[1] == 1 for value in positive)


def apply_rule(picture: Picture, rule: MaskRule, plane: int = 0) -> LabelMap:
    """Labels of a mask by a rule, of shape ``(H, W)``.

    Raises
    ------
    MaskMismatch
        Naming the file and what the rule does not know.
    UnreadableImage
        If the file cannot be read.
    """
    path = picture.path
    pixels, _ = read_mask_pixels(picture, plane)
    stored = {
        "value": pixels.values,
        "colour": pixels.colours,
        "channel": pixels.channel,
    }[rule.by]
    if stored is None:
        raise MaskMismatch(
            f"{path} cannot be read by {rule.by} as the other masks; save all masks "
            "alike"
        )
    found, where = np.unique(stored, return_inverse=True)
    keys: list[Key] = found.tolist()
    if rule.by == "colour":
        keys = [_colour(code) for code in found.tolist()]
    hidden = np.zeros(len(keys), bool)
    if pixels.transparent is not None:
        shown = np.unique(stored[~pixels.transparent])
        hidden = ~np.isin(found, shown)
    table = np.array(
        [
            0 if out else _label(path, rule, key)
            for key, out in zip(keys, hidden, strict=True)
        ],
        np.uint8,
    )
    labels: LabelMap = table[where].reshape(stored.shape)
    if pixels.transparent is not None:
        labels[pixels.transparent] = 0
    return labels


def label_of(rule: MaskRule, key: Key) -> int | None:
    """Label of a value, colour or channel; None if the rule does not know it."""
    if rule.nearest:
        near = min(rule.labels, key=lambda other: distance(key, other))
        return rule.labels[near]
    return rule.labels.get(key, rule.other)


def distance(first: Key, second: Key) -> int:
    """Return the largest difference in a channel."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        return max(abs(a - b) for a, b in zip(first, second, strict=True))
    return abs(int(first) - int(second))  # type: ignore[arg-type]


def _label(path: Path, rule: MaskRule, key: Key) -> int:
    label = label_of(rule, key)
    if label is None:
        known = ", ".join(map(shown_key, list(rule.labels)[:12]))
        raise MaskMismatch(
            f"{path} has the {rule.by} {shown_key(key)} that is no class; "
            f"known: {known}"
        )
    return label
