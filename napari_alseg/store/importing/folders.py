"""What lies in a folder that somebody gives: images, and what is passed over."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from napari_alseg.errors import EmptyFolder
from napari_alseg.store.naming import ENDINGS, ZARR_ENDINGS, natural

ZARR_FILES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
SYSTEM_FILES = ("thumbs.db", "desktop.ini")
"""Files that computers leave in folders, of no interest to anybody."""


@dataclass(frozen=True)
class Listing:
    """Images of a folder in natural order, and what is no image."""

    folder: Path
    images: tuple[Path, ...]
    others: dict[str, int]
    """How many files of each ending are passed over."""
    subfolders: tuple[Path, ...]
    """Folders that are not looked into."""

    def passed_over(self) -> list[str]:
        """Say what is passed over, one sentence a kind.

        Examples
        --------
        >>> Listing(Path("x"), (), {".txt": 2}, ()).passed_over()
        ['2 files ending in .txt are passed over']
        """
        told = [
            f"{count} file{'s' if count > 1 else ''} ending in {ending or 'nothing'} "
            f"{'are' if count > 1 else 'is'} passed over"
            for ending, count in self.others.items()
        ]
        if self.subfolders:
            names = ", ".join(folder.name for folder in self.subfolders[:5])
            several = len(self.subfolders) > 1
            told.append(
                f"{len(self.subfolders)} subfolder{'s are' if several else ' is'} not "
                f"looked into ({names}{', ...' if self.subfolders[5:] else ''})"
            )
        return told


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr group or array, and so one image."""
    return any((path / name).is_file() for name in ZARR_FILES)


def list_folder(folder: str | Path) -> Listing:
    """Look through a folder; a single file or a zarr counts as a folder of one.

    Raises
    ------
    EmptyFolder
        If there is no image, saying what is there instead.
    """
    folder = Path(folder)
    if folder.is_file() or is_zarr(folder):
        return Listing(folder, (folder,), {}, ())
    if not folder.is_dir():
        raise EmptyFolder(f"{folder} is not there; give a folder of images")
    images, others, subfolders = [], Counter[str](), []
    for path in sorted(folder.iterdir(), key=natural):
        hidden = path.name.startswith(".") or path.name.lower() in SYSTEM_FILES
        if is_image(path):
            images.append(path)
        elif path.is_dir() and not hidden:
            subfolders.append(path)
        elif not hidden:
            others[path.suffix.lower()] += 1
    listing = Listing(folder, tuple(images), dict(others), tuple(subfolders))
    if not images:
        said = "; ".join(listing.passed_over())
        raise EmptyFolder(
            f"{folder} holds no image{f': {said}' if said else ''}. Files ending with "
            f"{', '.join(ENDINGS)} are read"
        )
    return listing


def image_files(folder: str | Path) -> list[Path]:
    """Images of a folder in natural order, without those of its subfolders.

    Raises
    ------
    EmptyFolder
        If there is none, or no such folder.
    """
    return list(list_folder(folder).images)


def is_image(path: Path) -> bool:
    """Whether a name ends as those of images do."""
    if path.name.startswith("."):
        return False
    ending = path.name.lower().endswith
    if path.is_dir():
        return bool(ending(ZARR_ENDINGS))
    return bool(ending(ENDINGS)) and not ending(ZARR_ENDINGS)
