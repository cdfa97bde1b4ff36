"""Images of one split and their masks, told apart and paired by name."""

from dataclasses import dataclass
from pathlib import Path

from napari_alseg.errors import AlsegError, EmptyFolder, MaskMismatch
from napari_alseg.settings import ImportSettings
from napari_alseg.store.images import Split
from napari_alseg.store.naming import stem
from napari_alseg.store.tables import ClassTable

from .folders import Listing, list_folder
from .pairing import Pairs, masks_among, pair

NO_PAIRS = Pairs({}, (), {})


@dataclass(frozen=True)
class Part:
    """Images of one split and where their masks lie."""

    split: Split
    images: Listing
    masks: Listing | None
    pairs: Pairs
    table: ClassTable
    needs_masks: bool
    problem: AlsegError | None = None
    """Why masks could not be paired; the images are looked at all the same."""


def pool_part(
    table: ClassTable, images: Path, labels: Path | None, settings: ImportSettings
) -> Part:
    """Images of the pool, and masks of some of them if there are any."""
    listing = list_folder(images)
    if labels is not None and labels.resolve() == images.resolve():
        listing, own = _same_folder(listing, settings.mask_suffix)
        masks: Listing | None = own
    else:
        _refuse_masks_among(listing)
        masks = None if labels is None else list_folder(labels)
    if masks is None:
        return Part("pool", listing, None, NO_PAIRS, table, False)
    pairs, problem = _paired(listing, masks, settings.mask_suffix)
    return Part("pool", listing, masks, pairs, table, False, problem)


def _same_folder(listing: Listing, suffix: str) -> tuple[Listing, Listing]:
    """Tell images and masks of one folder apart by the endings of their names."""
    masks = set(masks_among(listing.images))
    if suffix:
        masks = {path for path in listing.images if stem(path).endswith(suffix)}
    images = tuple(path for path in listing.images if path not in masks)
    rest = (listing.others, listing.subfolders)
    found = tuple(path for path in listing.images if path in masks)
    return Listing(listing.folder, images, *rest), Listing(
        listing.folder, found, {}, ()
    )


def _refuse_masks_among(listing: Listing) -> None:
    """Name files among the images that look like masks of others."""
    found = masks_among(listing.images)
    if found:
        named = ", ".join(f"{m} of {i.name}" for m, i in list(found.items())[:5])
        raise MaskMismatch(
            f"{len(found)} of the images look like masks of others ({named}): put "
            "masks into a folder of their own, or give this folder as the labels, too"
        )


def _refuse_no_pair(pairs: Pairs, masks: Listing, images: Listing) -> None:
    if not pairs.masks:
        some = ", ".join(path.name for path in masks.images[:3])
        more = ", ..." if masks.images[3:] else ""
        raise EmptyFolder(
            f"no mask in {masks.folder} has the name of an image of {images.folder} "
            f"(its masks: {some or 'none'}{more}); a mask is named as its image, or "
            "has something more, such as _mask (--mask-suffix)"
        )


def labelled_part(
    split: Split, folder: Path, table: ClassTable, settings: ImportSettings
) -> Part:
    """Images of a folder for a split, each of which needs a mask."""
    for part in ("images", "masks"):
        if not (folder / part).is_dir():
            raise EmptyFolder(
                f"{folder} has no folder {part!r}; {split} needs images/ and masks/"
            )
    images, masks = list_folder(folder / "images"), list_folder(folder / "masks")
    pairs, problem = _paired(images, masks, settings.mask_suffix)
    return Part(split, images, masks, pairs, table, problem is None, problem)


def _paired(
    images: Listing, masks: Listing, suffix: str
) -> tuple[Pairs, AlsegError | None]:
    """Pair masks with images; what is wrong with them is told with all else."""
    try:
        pairs = pair(images.images, masks.images, suffix)
        _refuse_no_pair(pairs, masks, images)
    except (EmptyFolder, MaskMismatch) as error:
        return NO_PAIRS, error
    return pairs, None
