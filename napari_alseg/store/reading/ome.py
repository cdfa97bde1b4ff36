"""OME-TIFF: the files that hold an image, and the names of its channels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile

from napari_alseg.errors import printable

from .picture import refuse


@dataclass(frozen=True)
class OmeFiles:
    """What an OME-TIFF's metadata say beyond its pages.

    Attributes
    ----------
    xml
        Metadata to read the file by, if these are not its own.
    parts
        Files that hold the image; none if it is no OME-TIFF.
    names
        Names of the channels of each image.
    """

    xml: str | None = None
    parts: tuple[Path, ...] = ()
    names: tuple[tuple[str, ...], ...] = ()

    def channels(self, number: int, count: int) -> tuple[str, ...]:
        """Names of the channels of one of so many images, or none."""
        return self.names[number] if len(self.names) == count else ()


def ome_files(path: Path) -> OmeFiles:
    """Files and channel names of an OME-TIFF.

    Raises
    ------
    UnreadableImage
        If a file that it names is not beside it.
    """
    xml = _metadata(path)
    if xml is None:
        return OmeFiles()
    root, own = _root(path, xml), True
    if (where := _companion(root)) is not None:
        xml, own = _companion_metadata(path, path.parent / where), False
        root = _root(path, xml)
    parts, missing = _parts(path, root, own)
    if missing:
        xml, own = _renamed(path, root, xml, missing), False
    names = tuple(map(_channel_names, _all(root, "Image")))
    return OmeFiles(None if own else xml, parts or (path,), names)


def _metadata(path: Path) -> str | None:
    with tifffile.TiffFile(path) as file:
        found = file.ome_metadata if file.is_ome else None
    return None if found is None else str(found)


def _root(path: Path, xml: str) -> Any:
    try:
        return ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        refuse(path, f"has OME metadata that cannot be read: {error}")


def _all(root: Any, name: str) -> list[Any]:
    return [element for element in root.iter() if element.tag.endswith(f"}}{name}")]


def _companion(root: Any) -> str | None:
    """File that holds the metadata instead."""
    for element in _all(root, "BinaryOnly"):
        return str(element.get("MetadataFile", ""))
    return None


def _companion_metadata(path: Path, companion: Path) -> str:
    if not companion.is_file():
        refuse(
            path,
            f"is a part of an OME-TIFF whose metadata are in {companion.name!r}, "
            "which is not beside it; copy all of its files",
        )
    if companion.name.lower().endswith((".tif", ".tiff")):
        return _metadata(companion) or ""
    return companion.read_text(encoding="utf-8")


def _parts(path: Path, root: Any, own: bool) -> tuple[tuple[Path, ...], list[str]]:
    """Files that the metadata name, and those of them that are missing."""
    identity = root.get("UUID") if own else None
    found: dict[Path, None] = {}
    missing: list[str] = []
    for element in _all(root, "UUID"):
        name = element.get("FileName", "")
        itself = identity is not None and element.text == identity
        itself = itself or name.lower() in ("", path.name.lower())
        part = path if itself else path.parent / name
        if not itself and not part.is_file() and name not in missing:
            missing.append(name)
        found[part] = None
    return tuple(found), missing


def _renamed(path: Path, root: Any, xml: str, missing: list[str]) -> str:
    """Metadata with this file's name, if it is the only one and was renamed."""
    names = {element.get("FileName", "") for element in _all(root, "UUID")}
    if len(names) == 1 and root.get("UUID") is None:
        old = missing[0]
        return xml.replace(f'FileName="{old}"', f'FileName="{path.name}"')
    refuse(
        path,
        f"is a part of an OME-TIFF that lacks {', '.join(map(printable, missing[:5]))}"
        f"{' ...' if len(missing) > 5 else ''}; copy all of its files",
    )


def _channel_names(image: Any) -> tuple[str, ...]:
    names = [channel.get("Name", "") for channel in _all(image, "Channel")]
    return tuple(names) if all(names) else ()
