"""What an import found, said before anything is written."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SPLIT_NAMES = {
    "pool": "image",
    "validation": "validation image",
    "source": "source image",
    "test": "test image",
}
MOST_NAMED = 5


@dataclass
class SplitReport:
    """What was found for one split."""

    files: int = 0
    images: int = 0
    """Planes of stacks are images."""
    masks: int = 0
    """Images that have one."""
    masks_given: bool = False
    dtypes: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)


@dataclass
class ImportReport:
    """What is said of an import, in parts."""

    splits: dict[str, SplitReport] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    """What the values of masks mean."""
    pixels: dict[str, int] = field(default_factory=dict)
    """Pixels of each class in all masks, 'unlabelled' among them."""
    rendering: list[str] = field(default_factory=list)
    """How intensities and channels are shown to people and networks."""
    notes: list[str] = field(default_factory=list)
    """What was passed over, assumed or looks wrong."""
    of_files: dict[str, list[str]] = field(default_factory=dict)
    """The same of single files: a sentence, and the files that it is about."""

    def note_of(self, name: str, text: str) -> None:
        """Add a note about a file; files of which the same is said are one note."""
        self.of_files.setdefault(text, []).append(name)

    def note(self, text: str) -> None:
        """Add a note unless it was said before."""
        if text not in self.notes:
            self.notes.append(text)

    def lines(self) -> Iterator[str]:
        """Yield the report, a line at a time."""
        for split, found in self.splits.items():
            yield from _split_lines(SPLIT_NAMES[split], found)
        for rule in self.rules:
            yield f"masks: {rule}"
        if self.pixels:
            yield f"pixels in masks: {_pixel_line(self.pixels)}"
        yield from self.rendering
        for note in self.notes:
            yield f"note: {note}"
        for text, names in self.of_files.items():
            more = f" and {len(names) - 1} more" if names[1:] else ""
            yield f"note: {names[0]}{more}: {text}"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def plural(count: int, noun: str) -> str:
    """Return a count and a noun.

    Examples
    --------
    >>> plural(1, "image"), plural(2, "image")
    ('1 image', '2 images')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _split_lines(name: str, found: SplitReport) -> Iterator[str]:
    planes = ""
    if found.files != found.images:
        planes = f" in {plural(found.files, 'file')}"
    masks = ""
    if found.masks_given:
        without = found.images - found.masks
        masks = f", {found.masks} with a mask, {without} without"
    yield f"{plural(found.images, name)}{planes}{masks}"
    sizes = [f"{rows} x {columns}" for rows, columns in _most(found.sizes)]
    parts = (
        _counted(found.dtypes),
        _counted(found.channels),
        _some(sizes, found.sizes),
    )
    yield f"  {'; '.join(parts)} (rows x columns)"


def _most(counter: Counter[tuple[int, int]]) -> list[tuple[int, int]]:
    return [size for size, _ in counter.most_common(MOST_NAMED)]


def _some(names: Sequence[str], counter: Counter[tuple[int, int]]) -> str:
    more = len(counter) - len(names)
    return ", ".join(names) + (f" and {more} other sizes" if more > 0 else "")


def _counted(counter: Counter[str]) -> str:
    if len(counter) == 1:
        return next(iter(counter))
    return ", ".join(f"{name} ({count})" for name, count in counter.most_common())


def _pixel_line(pixels: dict[str, int]) -> str:
    total = max(1, sum(pixels.values()))
    return ", ".join(
        f"{name} {count} ({count / total:.1%})" for name, count in pixels.items()
    )
