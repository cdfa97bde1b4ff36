"""Every parameter of every stage, stated once.

A stage is a frozen dataclass. The form in the window, the flags of the command line
and the JSON in the project all come from these lines: the meaning of a parameter is
its line in the class docstring, its limits are the field's metadata.
"""

from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args

from .errors import BadValue

Device = Literal["auto", "cpu", "cuda", "mps"]
Pooling = Literal["mean", "top", "max", "sum"]
Start = Literal["encoder", "last"]
Answers = Literal["exact", "dominant"]
Protocol = Literal["pool", "added-images"]
Schedule = Literal["rounds", "one-run"]


MOST_EPOCHS = 10_000


def _limited(default: Any, **limits: Any) -> Any:
    """Field whose limits the form shows and `check` enforces."""
    return field(default=default, metadata=limits)


def _of_system(default: Any, **limits: Any) -> Any:
    """Return a field that is None until a system fills it, with this unless its own."""
    return field(default=None, metadata={"default": default, **limits})


@dataclass(frozen=True)
class QuerySettings:
    """What one round asks.

    Whatever is None is as the system has it (`systems.completed` fills it in), so that
    a system may be taken as it is, changed in one point, or mixed freely.

    Parameters
    ----------
    system
        Name of a row of the table of systems.
    budget
        Most that the round may ask: '1%', '100 regions', '100 px/image' or '5 images'.
    seed
        Same seed, same computer: same regions.
    partition
        What a region is: superpixels, felzenszwalb, grid, windows, pixels or image.
    acquisition
        How much each pixel or region is worth: a row of the table of acquisitions.
    choice
        Which regions are taken: top, per-image, class-quota, class-stratified,
        foreground, few-per-image, diverse or everything. Where a budget in images
        leaves a choice, whole images are ranked by the mean of their regions instead,
        and a core-set is one of images.
    pool_share
        Share of the pool's images that is scored, drawn anew in each round.
    region_size
        Mean pixels in a superpixel; smaller regions follow thin things better.
    compactness
        Weight of closeness against colour; higher gives squarer superpixels.
    segment_scale
        Higher gives larger segments (Felzenszwalb).
    segment_size
        Fewest pixels in a segment (Felzenszwalb).
    rows
        Cells of the grid from top to bottom.
    columns
        Cells of the grid from left to right.
    window
        Pixels from the centre of a window to its sides; 1 gives 3 x 3 pixels.
    pooling
        From the scores of a region's pixels to its own: mean, top (the mean of the
        highest tenth), max or sum.
    radius
        Pixels from a pixel to the sides of the square that its score looks at.
    edge_weight
        How much more a pixel on an edge counts; 0 counts all pixels alike.
    bins
        Bins of the histogram of difficulty.
    fixed_bins
        The bins reach from 0 to 1, not from the lowest to the highest of each image.
    passes
        Passes through the network with dropout.
    dropout
        Share of the channels that each of these passes leaves out.
    crf_iterations
        Times that each pixel hears its neighbours; 0 leaves the prediction as it is.
    crf_radius
        Pixels from a pixel to the sides of the square of neighbours that it hears.
    crf_colour
        Difference in colour, of 0..255, at which a neighbour counts much less.
    crf_weight
        How much the neighbours count against the network.
    image_limit
        Regions of one image that are asked before any other image gives more.
    exclusion
        Pixels around an asked region in which no other is asked; windows never
        overlap, whatever this says.
    stratified
        Share of the budget that is dealt out evenly to the predicted classes.
    power
        The higher, the more the draw favours high scores.
    foreground
        Share of the budget for regions that are not of the most predicted class.
    """

    system: str = "entropy"
    budget: str = "40 regions"
    seed: int = _limited(0, min=0, max=2**31 - 1)
    _: KW_ONLY
    partition: str | None = None
    acquisition: str | None = None
    choice: str | None = None
    pool_share: float | None = _of_system(1.0, min=0.01, max=1.0)
    region_size: int | None = _of_system(400, min=4, max=1_000_000)
    compactness: float | None = _of_system(10.0, min=0.01, max=1000.0)
    segment_scale: float | None = _of_system(100.0, min=0.1, max=100_000.0)
    segment_size: int | None = _of_system(50, min=1, max=1_000_000)
    rows: int | None = _of_system(5, min=1, max=10_000)
    columns: int | None = _of_system(5, min=1, max=10_000)
    window: int | None = _of_system(1, min=0, max=1000)
    pooling: Pooling | None = field(
        default=None, metadata={"default": "mean", "known": get_args(Pooling)}
    )
    radius: int | None = _of_system(1, min=0, max=1000)
    edge_weight: float | None = _of_system(1.0, min=0.0, max=100.0)
    bins: int | None = _of_system(8, min=1, max=1000)
    fixed_bins: bool | None = _of_system(False)
    passes: int | None = _of_system(10, min=2, max=1000)
    dropout: float | None = _of_system(0.2, min=0.0, max=0.9)
    crf_iterations: int | None = _of_system(5, min=0, max=100)
    crf_radius: int | None = _of_system(24, min=1, max=100)
    crf_colour: float | None = _of_system(6.0, min=0.1, max=255.0)
    crf_weight: float | None = _of_system(5.0, min=0.0, max=100.0)
    image_limit: int | None = _of_system(3, min=1, max=100_000)
    exclusion: int | None = _of_system(0, min=0, max=10_000)
    stratified: float | None = _of_system(0.66, min=0.0, max=1.0)
    power: float | None = _of_system(1.0, min=0.01, max=100.0)
    foreground: float | None = _of_system(0.66, min=0.0, max=1.0)

    def parameters(self) -> dict[str, Any]:
        """Parts and parameters that are given, by name."""
        common = ("system", "budget", "seed")
        names = (entry.name for entry in fields(QuerySettings))
        given = {name: getattr(self, name) for name in names if name not in common}
        return {name: value for name, value in given.items() if value is not None}


def default(name: str) -> Any:
    """Usual value of a parameter of asking, where a system has no other.

    Examples
    --------
    >>> default("region_size")
    400
    """
    return QuerySettings.__dataclass_fields__[name].metadata["default"]


@dataclass(frozen=True)
class NetworkSettings:
    """Which network learns.

    Parameters
    ----------
    network
        Architecture of segmentation-models-pytorch ('deeplabv3plus', 'unet', 'fpn'
        ...), or 'torchvision/fcn_resnet50' and its sisters.
    encoder
        Encoder of segmentation-models-pytorch; not used by torchvision networks.
    weights
        Where the encoder starts: 'imagenet', 'random' or the path of a file.
    difficulty
        A second branch learns where the network errs (DEAL); the recipe 'difficulty'
        brings it, and no other teaches it.
    """

    network: str = "deeplabv3plus"
    encoder: str = "mobilenet_v2"
    weights: str = "imagenet"
    difficulty: bool = False


@dataclass(frozen=True)
class TrainingSettings:
    """How the network learns.

    Parameters
    ----------
    recipe
        Name of a recipe: partial, consistency, difficulty, adaptation, rectified or
        live; None is as the system of the round has it.
    start
        'encoder': each round starts from the pretrained encoder and learns all labels
        anew; 'last': it goes on from the last weights that knew fewer labels.
    epochs
        Passes over all images that have a label; over the whole pool for adaptation and
        for each of the three networks of rectified. The recipe live has none.
    minutes
        Take steps for no longer than this, with fewer epochs if need be; 0 sets no
        limit. How far it comes then depends on the computer.
    batch_size
        Crops in a step; batch normalisation needs at least two.
    crop
        Longest side of a training crop, in pixels; smaller images are taken whole.
    learning_rate
        First learning rate of the decoder; it falls to zero along (1 - t) ** 0.9.
    encoder_factor
        The pretrained encoder learns this much slower than the decoder.
    weight_decay
        Pull of the weights towards zero.
    gradient_norm
        Norm to which a larger gradient is shortened.
    class_balance
        How much more rare classes count: 0 counts pixels alike, 1 counts classes alike.
    scale
        Training images are zoomed by 1/scale to scale.
    flip
        Mirror half of the training crops.
    jitter
        Strength of changes in brightness, contrast and saturation.
    validate_every
        Epochs between two looks at the validation images.
    patience
        Stop after so many such looks without a better one; 0 never stops early.
    average
        Without validation images, the weights are a running mean with this decay a
        step; 0 takes the last weights.
    device
        Where to compute; 'auto' takes CUDA, then MPS, then the CPU.
    compile
        Let torch.compile speed up training on CUDA; the first steps take minutes.
    spread
        Before learning, let a CRF spread labels to neighbours of like colour; the
        labels of the project stay as they are.
    source_free
        With source images: they teach the first network alone; from then on it learns
        without them (RIPU).
    """

    recipe: str | None = None
    start: Start = field(default="encoder", metadata={"known": get_args(Start)})
    epochs: int = _limited(20, min=1, max=MOST_EPOCHS)
    minutes: float = _limited(0.0, min=0.0, max=100_000.0)
    batch_size: int = _limited(4, min=2, max=512)
    crop: int = _limited(512, min=32, max=4096)
    learning_rate: float = _limited(2e-3, min=1e-7, max=1.0)
    encoder_factor: float = _limited(0.2, min=0.0, max=1.0)
    weight_decay: float = _limited(1e-4, min=0.0, max=1.0)
    gradient_norm: float = _limited(1.0, min=1e-6, max=1e6)
    class_balance: float = _limited(0.0, min=0.0, max=1.0)
    scale: float = _limited(1.33, min=1.0, max=4.0)
    flip: bool = True
    jitter: float = _limited(0.2, min=0.0, max=1.0)
    validate_every: int = _limited(2, min=1, max=MOST_EPOCHS)
    patience: int = _limited(0, min=0, max=1000)
    average: float = _limited(0.0, min=0.0, max=0.9999)
    device: Device = "auto"
    compile: bool = False
    spread: bool = False
    source_free: bool = False


OF_COMPUTER = ("device", "compile")
"""Settings of the training that only say where and how fast it runs."""


@dataclass(frozen=True)
class RecipeSettings:
    """How much the special terms of the recipes count.

    Parameters
    ----------
    consistency
        Weight of the agreement between an image and its mirror image (EquAL).
    difficulty
        Weight of learning where the network errs (DEAL).
    ignored_is_right
        Ignored pixels count as right for the difficulty, as the authors' code has it.
    local_consistency
        Weight of agreement with neighbours on the borders of source labels (RIPU).
    negative
        Weight of making improbable classes still less probable on the target (RIPU).
    threshold
        A class is improbable below this.
    similarity
        Weight of likeness to the same class in another image (CISC-R).
    never
        Classes that never make two images a pair, with commas between their names; for
        example the background of Pascal VOC, which says nothing of likeness (CISC-R).
    """

    consistency: float = _limited(1.0, min=0.0, max=100.0)
    difficulty: float = _limited(1.0, min=0.0, max=100.0)
    ignored_is_right: bool = False
    local_consistency: float = _limited(0.1, min=0.0, max=100.0)
    negative: float = _limited(1.0, min=0.0, max=100.0)
    threshold: float = _limited(0.05, min=0.0, max=1.0)
    similarity: float = _limited(1.0, min=0.0, max=100.0)
    never: str = ""


@dataclass(frozen=True)
class SpreadSettings:
    """How labels spread to neighbours of like colour before learning.

    Parameters
    ----------
    iterations
        Times that each pixel hears its neighbours.
    radius
        Pixels that a label travels in each of them, at most.
    colour
        Difference in colour, of 0..255, at which a neighbour counts much less.
    weight
        How much the neighbours count; 10 lets a label pass where half of them have it.
    confidence
        A pixel takes a class when it is surer of it than this.
    """

    iterations: int = _limited(20, min=0, max=1000)
    radius: int = _limited(8, min=1, max=100)
    colour: float = _limited(6.0, min=0.1, max=255.0)
    weight: float = _limited(10.0, min=0.0, max=100.0)
    confidence: float = _limited(0.9, min=0.5, max=1.0)


@dataclass(frozen=True)
class LiveSettings:
    """How the live head learns from answers.

    Parameters
    ----------
    samples
        Pixels of each class in each labelled region that it learns from.
    most_samples
        Pixels in all; beyond it each class and region keeps a fair share.
    first_steps
        Steps of a head that knows nothing yet.
    steps
        Steps after an answer, on all samples, old and new.
    batch_size
        Pixels in a step.
    learning_rate
        First learning rate; it falls to zero within the steps.
    weight_decay
        Pull of the weights towards zero.
    class_balance
        How much more rare classes count: 0 counts samples alike, 1 classes.
    """

    samples: int = _limited(8, min=1, max=1000)
    most_samples: int = _limited(20_000, min=100, max=10_000_000)
    first_steps: int = _limited(300, min=1, max=100_000)
    steps: int = _limited(60, min=1, max=100_000)
    batch_size: int = _limited(512, min=2, max=100_000)
    learning_rate: float = _limited(5e-3, min=1e-7, max=1.0)
    weight_decay: float = _limited(1e-4, min=0.0, max=1.0)
    class_balance: float = _limited(0.0, min=0.0, max=1.0)


@dataclass(frozen=True)
class PredictionSettings:
    """How an image is predicted.

    Parameters
    ----------
    tile
        Longest side of a tile, in pixels; smaller images are taken whole.
    overlap
        Pixels that neighbouring tiles share and blend.
    batch_size
        Tiles in one pass through the network.
    device
        Where to compute; 'auto' takes CUDA, then MPS, then the CPU.
    """

    tile: int = _limited(512, min=64, max=8192)
    overlap: int = _limited(64, min=0, max=1024)
    batch_size: int = _limited(4, min=1, max=512)
    device: Device = "auto"


@dataclass(frozen=True)
class SimulationSettings(QuerySettings):
    """What is simulated with an oracle.

    Parameters
    ----------
    system
        Name of a row of the table of systems; 'full' gives the upper bound.
    budget
        Most that may be asked, shared equally among the rounds, beside the initial
        images and what was asked in the run that this one begins after; with added
        images, what each round may ask of the images that join it. Regions are asked
        whole, so a little may be left. 'full' asks everything.
    seed
        Seed of asking and of learning.
    rounds
        Times the pool is asked and the network retrained; 0 asks nothing and learns
        from the source or the initial images alone.
    size
        ROWSxCOLUMNS that images and masks are resized to; empty keeps their own.
    answers
        exact: the true class of each pixel of a region; dominant: its most frequent
        class for all of it, as one key gives it.
    protocol
        pool: every round asks the whole pool; added-images: some images join in each
        round, and it asks these alone (Kasarla).
    initial_images
        Images, drawn by the seed, that are labelled in full before the first round.
    added_images
        Images that join in each round; only with added-images.
    schedule
        rounds: learn anew after each round; one-run: the rounds lie within a single
        training, from a quarter of it to 45 % (RIPU).
    """

    budget: str = "5%"
    rounds: int = _limited(3, min=0, max=1000)
    size: str = ""
    answers: Answers = field(default="exact", metadata={"known": get_args(Answers)})
    protocol: Protocol = field(default="pool", metadata={"known": get_args(Protocol)})
    initial_images: int = _limited(0, min=0, max=1_000_000)
    added_images: int = _limited(0, min=0, max=1_000_000)
    schedule: Schedule = field(default="rounds", metadata={"known": get_args(Schedule)})


@dataclass(frozen=True)
class ImportSettings:
    """How files become the images and labels of a project.

    Parameters
    ----------
    mask_values
        What the values of masks mean: values or colours (of a classes.csv), from-0 (0
        is the first class), from-1 (0 is unlabelled, 1 the first class), two-values,
        objects (each value is one of the second class), one-hot (a channel a class),
        or written out, for example '0=sky,1..9=car,255=ignore,other=ignore'. Without
        it the one reading that fits is taken; where several fit, none is.
    mask_suffix
        What the names of masks have after those of their images, for example '_mask'.
        Without it the ending is found that fits most of them.
    axes
        Letters of axes of files that do not name their own: Y rows, X columns, C
        channels, any other (Z, T) planes.
    intensities
        What becomes black and white: each (every image by itself), shared (one window
        for the pool), or LOW..HIGH, one for all channels or one for each.
    network_channels
        Up to three channels that networks see as red, green and blue, for example
        '4,1,2'; the window shows all. Without it the first three.
    """

    mask_values: str = ""
    mask_suffix: str = ""
    axes: str = ""
    intensities: str = "each"
    network_channels: str = ""


Settings = TypeVar("Settings")


def check(settings: Settings) -> Settings:
    """Return the settings if each number lies in its limits.

    Raises
    ------
    BadValue
        Naming the parameter, its value and its limits.

    Examples
    --------
    >>> check(TrainingSettings(epochs=0))
    Traceback (most recent call last):
    napari_alseg.errors.BadValue: epochs must be from 1 to 10000, got 0
    """
    for entry in fields(settings):  # type: ignore[arg-type]
        value, limits = getattr(settings, entry.name), entry.metadata
        known = limits.get("known")
        if value is not None and known and value not in known:
            raise BadValue(
                f"{entry.name} must be one of {', '.join(known)}, got {value!r}"
            )
        if value is None or "min" not in limits:
            continue
        if not limits["min"] <= value <= limits["max"]:
            raise BadValue(
                f"{entry.name} must be from {limits['min']} to {limits['max']}, "
                f"got {value}"
            )
    return settings
