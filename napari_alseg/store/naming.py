"""File names: which are images, how they sort, what an image is called here."""

import re
import unicodedata
from pathlib import Path
from typing import Any

PILLOW_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
TIFF_ENDINGS = (".tif", ".tiff")
ZARR_ENDINGS = (".ome.zarr", ".zarr")
ENDINGS = (*PILLOW_ENDINGS, ".ome.tif", ".ome.tiff", *TIFF_ENDINGS, *ZARR_ENDINGS)


def stem(name: str | Path) -> str:
    """File name without the ending of an image.

    Examples
    --------
    >>> stem("slide.7.ome.zarr"), stem("slide.7")
    ('slide.7', 'slide.7')
    """
    text = str(name) if isinstance(name, str) else name.name
    ending = max((e for e in ENDINGS if text.lower().endswith(e)), key=len, default="")
    return text[: len(text) - len(ending)]


def natural(path: Path) -> list[Any]:
    """Sorting key that puts image 2 before image 10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if part.isdecimal() else part for part in parts] + [path.name]


def safe_name(name: str) -> str:
    """Name that can be a folder on any computer, and can still be read.

    Examples
    --------
    >>> safe_name("Street 07/left.tif"), safe_name("..."), safe_name("Zürich.png")
    ('Street-07-left', 'image', 'Zürich')
    """
    text = unicodedata.normalize("NFC", stem(name))
    text = re.sub(r"[^\w.-]+", "-", text)
    return text.strip("-._")[:80] or "image"


def unused(name: str, used: tuple[str, ...]) -> str:
    """Name, numbered if it is taken.

    Case does not tell names apart everywhere.
    """
    taken = {other.casefold() for other in used}
    candidate, number = name, 2
    while candidate.casefold() in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
