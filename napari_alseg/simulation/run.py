"""A simulation as data, and its ``run.json``.

`RunSettings` says everything that a run depends on; `SimulationRun` adds what was
found, one `SimulationRound` a round. All costs are counted from the first round on.
``run.json`` holds the fields of `SimulationRun` and of its settings under their names.
"""

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from napari_alseg import __version__
from napari_alseg.errors import BadValue, NewerFormat
from napari_alseg.files import write_whole, writing
from napari_alseg.settings import Answers, Protocol, Schedule

FORMAT = 3
"""Of ``run.json``; format 2 also said whether results of its system were published."""
FILE = "run.json"
PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "numpy", "zarr")
"""Packages whose versions a result depends on."""

StageKind = Literal["source", "initial", "asked"]


@dataclass(frozen=True)
class Seconds:
    """How long the computer worked on a round."""

    score: float
    choose: float
    train: float

    @property
    def total(self) -> float:
        """All of them together."""
        return self.score + self.choose + self.train


@dataclass(frozen=True)
class SimulationRound:
    """One round of a simulation: its costs and what it reached.

    Costs are counted from the first round on, but for the seconds.
    """

    round: int
    stage: StageKind
    part: tuple[float, float]
    """Of a training that goes through all rounds, from where to where."""
    pixels: int
    """Asked pixels."""
    fraction: float
    """Asked pixels over those of the pool, 0..1."""
    regions: int
    images: int
    """Images with an asked region."""
    clicks: int
    """By the rule of `oracle`."""
    miou: float
    """0..1."""
    iou: Mapping[str, float | None]
    """By class; None where the class is absent."""
    seconds: Seconds
    """Of this round alone."""

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> "SimulationRound":
        """Return a round of ``run.json``.

        Raises
        ------
        KeyError
            Naming the entries that are missing.
        """
        known = _known(cls, entries)
        seconds = Seconds(**_known(Seconds, known["seconds"]))
        return cls(**known | {"part": tuple(known["part"]), "seconds": seconds})


@dataclass(frozen=True)
class Beginning:
    """The finished run that another one begins after."""

    system: str
    seed: int
    round: int
    """Its last."""


@dataclass(frozen=True)
class Files:
    """Fingerprints of the data, as `dataset.fingerprints` makes them."""

    dataset: str
    source: str


@dataclass(frozen=True)
class Pool:
    """How much there is to ask, once the project is made."""

    images: int = 0
    pixels: int = 0


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All that a run depends on.

    The settings of asking, training and so on are kept by name, as the version that
    made the run knew them: an older one lacks the younger names.
    """

    system: str
    dataset: str
    source: str = ""
    after: Beginning | None = None
    seed: int
    budget: str
    planned_rounds: int
    size: str
    answers: Answers
    protocol: Protocol = "pool"
    initial_images: int = 0
    added_images: int = 0
    schedule: Schedule = "rounds"
    network: str
    encoder: str
    pretrained: str
    difficulty: bool
    recipe: str
    asking: Mapping[str, Any]
    """The resolved `QuerySettings`."""
    training: Mapping[str, Any]
    """`TrainingSettings`."""
    terms: Mapping[str, Any] = field(default_factory=dict)
    """`RecipeSettings`."""
    prediction: Mapping[str, Any] = field(default_factory=dict)
    """`PredictionSettings`."""
    files: Files | None = None
    """None where an older version did not note them."""
    live: Mapping[str, Any] | None = None
    """`LiveSettings`, of the recipe 'live' alone."""

    @property
    def partition(self) -> str:
        """What a region is."""
        return str(self.asking["partition"])

    @property
    def acquisition(self) -> str:
        """How much a region is worth."""
        return str(self.asking["acquisition"])

    @property
    def asks_everything(self) -> bool:
        """Whether it asks everything: the upper bound."""
        return bool(self.asking["choice"] == "everything")

    @property
    def leaves_source(self) -> bool:
        """Whether the source is left out after the first network."""
        return bool(self.training["source_free"])

    def flat(self) -> dict[str, Any]:
        """Return every setting that is there, by flat name."""
        there = {name: each for name, each in asdict(self).items() if each is not None}
        return dict(flat(there))


@dataclass(frozen=True)
class SimulationRun:
    """What a simulation wanted, and what it found."""

    settings: RunSettings
    finished: bool
    weights: str
    """Where the encoder of the last round started."""
    classes: tuple[str, ...]
    pool: Pool
    device: str
    rounds: tuple[SimulationRound, ...]
    versions: Mapping[str, str]

    @property
    def last(self) -> SimulationRound:
        """The last round that is done."""
        return self.rounds[-1]

    def to_json(self) -> dict[str, Any]:
        """Return what ``run.json`` holds."""
        entries = asdict(self)
        return {"format": FORMAT, **entries.pop("settings"), **entries}

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> "SimulationRun":
        """Run that ``run.json`` holds, of format 2 or later.

        Raises
        ------
        KeyError
            Naming the entries that are missing.
        """
        settings = _known(RunSettings, entries)
        for name, kind in (("after", Beginning), ("files", Files)):
            if settings.get(name):
                settings[name] = kind(**settings[name])
        found = _known(cls, {"settings": RunSettings(**settings), **entries})
        found["classes"] = tuple(found["classes"])
        found["pool"] = Pool(**found["pool"])
        found["rounds"] = tuple(map(SimulationRound.from_json, found["rounds"]))
        return cls(**found)


def _known(kind: type, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that are fields of a dataclass."""
    missing = [
        each.name
        for each in fields(kind)
        if each.name not in entries
        and each.default is MISSING
        and each.default_factory is MISSING
    ]
    if missing:
        raise KeyError(", ".join(missing))
    return {
        each.name: entries[each.name] for each in fields(kind) if each.name in entries
    }


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "napari-alseg": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


# --- on disk --------------------------------------------------------------------------


def read_run(folder: Path) -> SimulationRun:
    """Read the run of a folder.

    Raises
    ------
    BadValue
        If the folder holds no run that can be read.
    NewerFormat
        If a newer version wrote it.
    """
    file = folder / FILE
    remedy = "give a folder that 'napari-alseg simulate --out' wrote"
    try:
        entries = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BadValue(f"{folder} holds no {FILE}; {remedy}") from None
    except ValueError as error:
        raise BadValue(f"{file} is damaged ({error}); simulate again") from error
    if not isinstance(entries, dict) or not isinstance(entries.get("format"), int):
        raise BadValue(
            f"{file} is not a run, or one of a version before format 2; {remedy}"
        )
    if entries["format"] > FORMAT:
        raise NewerFormat(
            f"{file} has format {entries['format']}, this napari-alseg reads formats "
            f"up to {FORMAT}; update napari-alseg"
        )
    try:
        return SimulationRun.from_json(entries)
    except KeyError as error:
        raise BadValue(f"{file} lacks {error.args[0]}; simulate again") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise BadValue(f"{file} is damaged ({error}); simulate again") from error


def write_run(run: SimulationRun, out: Path) -> None:
    """Write ``run.json``, wholly or not at all."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / FILE, json.dumps(run.to_json(), indent=1) + "\n")


# --- by flat name ---------------------------------------------------------------------


def flat(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield entries by name, those of an inner table as ``table.name``.

    Examples
    --------
    >>> dict(flat({"seed": 0, "training": {"epochs": 2}}))
    {'seed': 0, 'training.epochs': 2}
    """
    for name, value in entries.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def differences(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return what two flat tables of settings do not share.

    A setting that only one of them has, as it is younger than the other, is no
    difference while it is off (`is_off`); nor are files that one of them does not know.

    Examples
    --------
    >>> differences({"seed": 0, "terms.never": ""}, {"seed": 1})
    {'seed': (0, 1)}
    """
    different = {}
    for name in dict.fromkeys([*first, *second]):
        pair = first.get(name), second.get(name)
        both = name in first and name in second
        unknown = not both and (all(map(is_off, pair)) or name.startswith("files."))
        if pair[0] != pair[1] and not unknown:
            different[name] = pair
    return different


def is_off(value: Any) -> bool:
    """Whether a setting is none, empty or False.

    Examples
    --------
    >>> [is_off(value) for value in (None, "", False, 0)]
    [True, True, True, False]
    """
    return value is False or value in (None, "")
