"""What the authors of the systems published.

mIoU in %. Nothing here was measured by us, and no number is more than its note says:
some come from tables, some were read off plots. Of CISC-R no number could be had.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedPoint:
    """One published result."""

    budget: str
    """What was labelled, in the authors' own unit."""
    miou: float
    """In %."""


@dataclass(frozen=True)
class Published:
    """A published curve or number of a system."""

    systems: tuple[str, ...]
    """Our systems that stand for it."""
    dataset: str
    network: str
    resolution: str
    training: str
    split: str
    points: tuple[PublishedPoint, ...]
    full: float | None
    """mIoU in % with all labels, under the same training; None if not published."""
    note: str
    source: str
    partition: str = ""
    """Only where our system asks such regions; empty for any."""


EQUAL = "Golestaneh & Kitani, BMVC 2020: tables of the authors' repository"
KASARLA = "Kasarla et al., WACV 2019: table of the published description"
DEAL = "Xie et al., ACCV 2020: plots of the authors' repository"
RIPU = "Xie et al., CVPR 2022: tables of the authors' repository"
PERIODS = "60 epochs after asking, batches of 4 or 5; mirrored batches only"
CAMVID = "367 images to ask, 101 validation, 233 test"
READ_OFF = "read off plots, give or take 0.15; full is their 95 % (94 %) line"
"""How DEAL's numbers came here."""
INFLATED = (
    "their mIoU is too high: a pixel predicted as ignored is no error of its class "
    "in the authors' code"
)
"""Of EquAL, whose networks have an output for it."""


def _equal(
    network: str, dataset: str, full: float, part: float, plain: float
) -> Published:
    small = dataset == "CamVid"
    return Published(
        ("equal",),
        dataset,
        network,
        "360 x 480" if small else "512 x 1024",
        PERIODS,
        f"{367 if small else 2975} images to ask, 12 % of their rectangles",
        (PublishedPoint("12 % of pixels", part),),
        full,
        f"trained with self-consistency; without it {plain} with 12 %; {INFLATED}",
        EQUAL,
    )


def _series(
    budgets: tuple[str, ...], miou: tuple[float, ...]
) -> tuple[PublishedPoint, ...]:
    return tuple(PublishedPoint(*pair) for pair in zip(budgets, miou, strict=True))


_JOINED = tuple(f"{images} images" for images in range(1175, 3000, 300))
_ADDED = tuple(f"{images} images added" for images in range(0, 21000, 3000))


def _kasarla(dataset: str, system: str, *miou: float) -> Published:
    cityscapes = dataset == "Cityscapes"
    asked = {
        "random": "what is drawn is not known",
        "entropy-edge": "asks single pixels",
    }.get(system, "asks superpixels, pixels exact")
    note = f"{asked}; 10 % of the pixels of the images added"
    return Published(
        (system,),
        dataset,
        "ICNet",
        "not known",
        "not known",
        "2975 images to ask, 1175 of them labelled in full before; 500 validation"
        if cityscapes
        else "18000 images to ask, none labelled before; the first network is of 2975 "
        "images of Cityscapes",
        _series(_JOINED if cityscapes else _ADDED, miou),
        65.3 if cityscapes else 45.1,
        f"{note}, so 45.5 % of all pixels at the end" if cityscapes else note,
        KASARLA,
        partition="superpixels" if system == "random" else "",
    )


_SHARES = tuple(f"{share} % of images" for share in range(10, 45, 5))


def _deal(
    systems: tuple[str, ...], dataset: str, full: float, *miou: float
) -> Published:
    small = dataset == "CamVid"
    return Published(
        systems,
        dataset,
        "DeepLabV3+ with MobileNetV2",
        "360 x 480" if small else "crops of 688 x 688",
        "100 epochs a round, SGD 0.01, batches of " + ("4" if small else "8"),
        CAMVID if small else "2675 images to ask, 300 validation, 500 test",
        _series(_SHARES, miou),
        full,
        READ_OFF
        if small
        else f"{READ_OFF}; that the 300 leave 2675 of 2975 to ask is not confirmed",
        DEAL,
        partition="image",
    )


def _ripu(
    system: str, source: str, network: str, budget: str, miou: float, free: bool = False
) -> Published:
    classes = 19 if source == "GTAV" else 16
    full = 71.9 if (source, network) == ("GTAV", V3PLUS) else None
    notes = ["averaged with the mirrored image when tested"]
    if full:
        notes.append("full as another work on the same task gives it")
    if system == "ripu-pa":
        notes.append(
            "40 px are what is left at 1280 x 640: 105 px of each image are asked, at "
            "its own 2048 x 1024"
        )
    return Published(
        (system,),
        f"{source} to Cityscapes, {classes} classes",
        network,
        "1280 x 640",
        "40,000 steps, 2 source and 2 target images in each, the rounds within"
        if not free
        else "30,000 steps from a network of the source, without source images",
        "2975 target images to ask, 500 validation",
        (PublishedPoint(budget, miou),),
        full,
        "; ".join(notes),
        RIPU,
    )


V2 = "DeepLabV2 with ResNet-101"
V3PLUS = "DeepLabV3+ with ResNet-101"

RESULTS: tuple[Published, ...] = (
    _equal("FCN with ResNet-50", "CamVid", 67.9, 64.4, 63.4),
    _equal("DeepLabV3 with ResNet-50", "CamVid", 67.2, 63.4, 62.2),
    _equal("FCN with ResNet-50", "Cityscapes", 67.7, 64.9, 62.2),
    _equal("DeepLabV3 with ResNet-50", "Cityscapes", 69.7, 67.4, 63.3),
    _kasarla("Cityscapes", "entropy-edge", 55.6, 56.4, 57.0, 57.9, 58.7, 59.4, 59.8),
    _kasarla("Cityscapes", "sp", 55.6, 56.5, 57.1, 58.0, 58.8, 59.3, 60.0),
    _kasarla("Cityscapes", "sp-crf", 55.6, 56.9, 57.8, 58.5, 59.4, 60.2, 61.0),
    _kasarla("Cityscapes", "class-sp-crf", 55.6, 57.0, 57.9, 58.7, 59.7, 60.4, 61.3),
    _kasarla("Cityscapes", "random", 55.6, 55.9, 56.2, 56.3, 56.5, 56.4, 56.5),
    _kasarla("Mapillary", "sp-crf", 25.2, 28.7, 32.4, 35.1, 37.8, 39.4, 40.5),
    _kasarla("Mapillary", "random", 25.2, 27.7, 28.3, 29.0, 29.8, 30.3, 30.6),
    _deal(("deal-ds",), "CamVid", 64.9, 51.8, 55.5, 57.9, 59.0, 60.4, 60.9, 61.35),
    _deal(("deal-de",), "CamVid", 64.9, 52.0, 55.9, 57.8, 58.8, 60.0, 61.3, 61.6),
    _deal(("entropy",), "CamVid", 64.9, 51.8, 53.8, 56.9, 57.4, 59.2, 59.9, 61.2),
    _deal(("random",), "CamVid", 64.9, 51.8, 54.0, 56.6, 57.7, 59.2, 59.7, 60.5),
    _deal(("deal-ds",), "Cityscapes", 66.0, 50.8, 55.1, 57.2, 58.8, 60.0, 61.3, 62.0),
    _deal(("deal-de",), "Cityscapes", 66.0, 50.9, 54.9, 57.3, 59.1, 59.9, 61.0, 61.6),
    _deal(("entropy",), "Cityscapes", 66.0, 50.7, 54.6, 56.8, 58.5, 59.8, 60.7, 61.4),
    _deal(("random",), "Cityscapes", 66.0, 50.2, 53.0, 55.1, 56.6, 57.8, 58.8, 59.8),
    _ripu("ripu-pa", "GTAV", V2, "40 px/image", 65.5),
    _ripu("ripu-ra", "GTAV", V2, "2.2 % of pixels", 69.6),
    _ripu("ripu-ra", "GTAV", V3PLUS, "5 % of pixels", 71.2),
    _ripu("ripu-ra", "GTAV", V2, "2.2 % of pixels", 67.1, free=True),
    _ripu("ripu-pa", "SYNTHIA", V2, "40 px/image", 66.1),
    _ripu("ripu-ra", "SYNTHIA", V2, "2.2 % of pixels", 70.1),
    _ripu("ripu-ra", "SYNTHIA", V3PLUS, "5 % of pixels", 71.4),
    _ripu("ripu-ra", "SYNTHIA", V2, "2.2 % of pixels", 68.7, free=True),
)


def of(system: str, partition: str) -> tuple[Published, ...]:
    """Return the published results of a system that asks such regions.

    Examples
    --------
    >>> [result.points[0].miou for result in of("equal", "grid")]
    [64.4, 63.4, 64.9, 67.4]
    >>> of("cisc-r", "superpixels")
    ()
    """
    return tuple(
        result
        for result in RESULTS
        if system in result.systems and result.partition in ("", partition)
    )
