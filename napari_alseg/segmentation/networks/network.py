"""Networks by name: encoder, decoder, logits of the input's size."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_alseg.arrays import ImageTensor, LogitTensor
from napari_alseg.errors import BadValue, UnknownName, WeightsMismatch
from napari_alseg.segmentation.head.frozen import TorchvisionStages
from napari_alseg.segmentation.head.head import LIVE, LiveBody
from napari_alseg.settings import NetworkSettings, PredictionSettings

from .difficulty_branch import DifficultyBranch
from .pretrained import RANDOM, differences, start_from
from .torchvision_operators import import_torchvision

import_torchvision()
import segmentation_models_pytorch as smp  # noqa: E402
import timm  # noqa: E402
import torchvision  # noqa: E402

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
TORCHVISION = "torchvision/"
HALVINGS = {"dpt": 1, "pan": 3}
"""Times that a decoder halves the encoder's smallest features once more."""


class Network(nn.Module):
    """A segmentation network for images of any height and width.

    It takes colours 0..1. Normalising and padding happen inside; padding repeats the
    image by reflection and is cut off again.

    Parameters
    ----------
    body : torch module
        Has an ``encoder``; gives logits (B, C, H, W) of images (B, 3, H, W).
    settings : NetworkSettings
    classes : int
        Number of classes C.
    stride : int
        The body takes heights and widths that are multiples of this.
    weights_source : str
        Where the encoder's weights came from, in words.

    Attributes
    ----------
    difficulty : DifficultyBranch or None
        Of its logits, if the settings ask for it: where the network errs.
    fits : PredictionSettings or None
        Tiles that fit into memory, if those that were requested did not.
    """

    mean: Tensor
    deviation: Tensor
    difficulty: DifficultyBranch | None

    def __init__(
        self,
        body: nn.Module,
        settings: NetworkSettings,
        classes: int,
        *,
        stride: int = 1,
        weights_source: str = RANDOM,
    ) -> None:
        super().__init__()
        self.body = body
        self.settings = settings
        self.classes = classes
        self.stride = stride
        self.weights_source = weights_source
        self.fits: PredictionSettings | None = None
        self.difficulty = DifficultyBranch(classes) if settings.difficulty else None
        constants = {"mean": IMAGENET_MEAN, "deviation": IMAGENET_DEVIATION}
        for name, values in constants.items():
            tensor = torch.tensor(values)[:, None, None]  # (3, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    @property
    def encoder(self) -> nn.Module:
        """The part that may have been pretrained."""
        return self.body.encoder  # type: ignore[return-value]

    def forward(self, images: ImageTensor) -> LogitTensor:
        """Logits (B, C, H, W) of colours 0..1 (B, 3, H, W)."""
        height, width = images.shape[-2:]
        logits: Tensor = self.body(self.prepared(images))  # (B, C, >= H, >= W)
        return logits[..., :height, :width]

    def prepared(self, images: ImageTensor) -> Tensor:
        """Images as the body takes them: normalised and padded."""
        return _padded((images - self.mean) / self.deviation, self.stride)


def _padded(images: Tensor, stride: int) -> Tensor:
    """Extend images to multiples of the stride."""
    height, width = images.shape[-2:]
    below, right = -height % stride, -width % stride
    if not below and not right:
        return images
    # Reflection cannot reach further than the image.
    reflects = below < height and right < width
    mode = "reflect" if reflects else "replicate"
    return functional.pad(images, (0, right, 0, below), mode=mode)


class TorchvisionBody(nn.Module):
    """A torchvision segmentation network as encoder and decoder."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.encoder: nn.Module = model.backbone  # type: ignore[assignment]
        self.decoder: nn.Module = model.classifier  # type: ignore[assignment]

    def forward(self, images: ImageTensor) -> LogitTensor:
        """Logits of the images' size."""
        features = self.encoder(images)
        # LR-ASPP alone decodes two feature maps, the others the one called "out".
        logits = self.decoder(features.get("out", features))
        size = images.shape[-2:]
        return functional.interpolate(logits, size, mode="bilinear")


def networks() -> list[str]:
    """Return the names that `NetworkSettings.network` may take."""
    models = torchvision.models.list_models(module=torchvision.models.segmentation)
    return [*smp.MODEL_ARCHITECTURES_MAPPING, *(TORCHVISION + name for name in models)]


def encoders() -> list[str]:
    """Return the names of encoders.

    Any 'tu-' and a name of timm is one, too.
    """
    names = smp.encoders.get_encoder_names()
    # The 'timm-' names are deprecated aliases.
    return [name for name in names if not name.startswith("timm-")]


def build(settings: NetworkSettings, classes: int, *, seed: int = 0) -> Network:
    """Return a network, its encoder with the requested weights.

    Parameters
    ----------
    settings : NetworkSettings
    classes : int
        Number of classes C.
    seed : int
        Of the weights that start at random: at least those of the decoder.

    Raises
    ------
    UnknownName
        If no network or encoder has that name.
    BadValue
        If this encoder does not go with this network, or the weights are no file.
    WeightsMismatch
        If the weights are those of another encoder.
    """
    network = _bare(settings, classes, seed)
    name, architecture = settings.encoder, settings.network.removeprefix(LIVE)
    if architecture.startswith(TORCHVISION):
        name = architecture.removeprefix(TORCHVISION).split("_", 1)[1]
    network.weights_source = start_from(network.encoder, name, settings.weights)
    return network


def _bare(settings: NetworkSettings, classes: int, seed: int) -> Network:
    """Return a network with random weights, channels last."""
    if settings.network.startswith(LIVE):
        return _live(settings, classes, seed)
    if settings.network not in networks():
        raise UnknownName("network", settings.network, networks())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.network.startswith(TORCHVISION):
            name = settings.network.removeprefix(TORCHVISION)
            network = Network(_torchvision(name, classes), settings, classes)
        else:
            body = _smp(settings, classes)
            stride = body.encoder.output_stride * 2 ** HALVINGS.get(settings.network, 0)
            network = Network(body, settings, classes, stride=stride)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _live(settings: NetworkSettings, classes: int, seed: int) -> Network:
    """Lightweight head on the encoder of another network."""
    name = settings.network.removeprefix(LIVE)
    full = _bare(replace(settings, network=name, difficulty=False), classes, seed)
    encoder, stride = full.encoder, full.stride
    if name.startswith(TORCHVISION):
        # Sides that each stage halves exactly: so their maps are told apart by size.
        encoder, stride = TorchvisionStages(encoder), 32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = LiveBody(encoder, classes)
    return Network(body, settings, classes, stride=stride)


def _torchvision(name: str, classes: int) -> nn.Module:
    return TorchvisionBody(
        torchvision.models.get_model(
            name,
            weights=None,
            weights_backbone=None,
            num_classes=classes,
            aux_loss=False,
        )
    )


def _smp(settings: NetworkSettings, classes: int) -> Any:
    name = settings.encoder
    known = timm.is_model(name[3:]) if name.startswith("tu-") else name in encoders()
    if not known:
        raise UnknownName("encoder", name, [*encoders(), "tu-<any name of timm>"])
    # Vision transformers take other sizes than the one they were trained at on demand.
    extra = {"dynamic_img_size": True} if settings.network == "dpt" else {}
    try:
        return smp.create_model(settings.network, name, None, classes=classes, **extra)
    except (ValueError, NotImplementedError) as error:
        raise BadValue(
            f"network {settings.network!r} does not go with encoder {name!r} "
            f"({error}); choose another of the two"
        ) from error


def encoder_parameters(network: Network) -> list[nn.Parameter]:
    """Return the parameters of the encoder."""
    return list(network.encoder.parameters())


def decoder_parameters(network: Network) -> list[nn.Parameter]:
    """Return all parameters that are not the encoder's."""
    encoder = set(network.encoder.parameters())
    return [each for each in network.parameters() if each not in encoder]


def state(network: Network) -> dict[str, np.ndarray]:
    """Return a copy of all weights by name."""
    return {
        name: value.detach().cpu().contiguous().numpy().copy()
        for name, value in network.state_dict().items()
    }


def load(network: Network, arrays: Mapping[str, np.ndarray]) -> None:
    """Put weights into a network, all or none.

    Raises
    ------
    WeightsMismatch
        Naming the arrays that are missing, unknown or of another shape.
    """
    given = {name: torch.from_numpy(np.array(each)) for name, each in arrays.items()}
    differ = differences(network.state_dict(), given)
    if differ:
        raise WeightsMismatch(
            f"these weights are not of {network.settings.network} with "
            f"{network.settings.encoder} and {network.classes} classes: {differ}; "
            "use the weights of this project, or learn anew"
        )
    network.load_state_dict(given)


def load_encoder(network: Network, arrays: Mapping[str, np.ndarray]) -> None:
    """Put the encoder of another network into this one, nothing else.

    Parameters
    ----------
    network : Network
        Of the same encoder and architecture, perhaps with a lightweight head.
    arrays : mapping
        All weights of the other network, as `state` gives them.

    Raises
    ------
    WeightsMismatch
        Naming the arrays that do not fit.
    """
    prefix = "body.encoder."
    given = {
        name.removeprefix(prefix): torch.from_numpy(np.array(each))
        for name, each in arrays.items()
        if name.startswith(prefix)
    }
    encoder: nn.Module = network.body.encoder  # type: ignore[assignment]
    differ = differences(encoder.state_dict(), given)
    if differ:
        raise WeightsMismatch(
            f"these weights hold no encoder {network.settings.encoder} as "
            f"{network.settings.network} has it: {differ}; learn anew"
        )
    encoder.load_state_dict(given)


def metadata(network: Network) -> dict[str, Any]:
    """Return what, beside the weights, makes the network again."""
    source = network.weights_source
    settings = asdict(network.settings)
    return settings | {"classes": network.classes, "weights_source": source}


def from_metadata(metadata: Mapping[str, Any], classes: int | None = None) -> Network:
    """Network of metadata, its weights still to be loaded.

    Parameters
    ----------
    metadata : mapping
        As `metadata` gives it.
    classes : int, optional
        Number of classes that are wanted.

    Raises
    ------
    WeightsMismatch
        If the metadata is incomplete, or counts other classes.
    """
    _check_metadata(metadata, classes)
    settings = NetworkSettings(
        metadata["network"],
        metadata["encoder"],
        metadata["weights"],
        difficulty=metadata.get("difficulty", False),  # older metadata lack it
    )
    network = _bare(settings, metadata["classes"], seed=0)
    network.weights_source = metadata["weights_source"]
    return network


def _check_metadata(metadata: Mapping[str, Any], classes: int | None) -> None:
    needed = ("network", "encoder", "weights", "classes", "weights_source")
    missing = [name for name in needed if name not in metadata]
    if missing:
        raise WeightsMismatch(
            f"the metadata of these weights lacks {', '.join(missing)}; it was not "
            "written by this program: learn anew"
        )
    if classes not in (None, metadata["classes"]):
        raise WeightsMismatch(
            f"these weights tell {metadata['classes']} classes apart, the project has "
            f"{classes}; learn anew"
        )
