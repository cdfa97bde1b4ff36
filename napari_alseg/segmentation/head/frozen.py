"""Features of a frozen encoder, kept in memory.

The encoder of a pretrained or tuned network never changes here, so the same image has
the same features: they are computed once and kept, as half-precision numbers, up to a
stated limit. Nothing of it goes to disk.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from hashlib import blake2b
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_alseg.arrays import ImageTensor, Progress, Task
from napari_alseg.byte_cache import ByteCache
from napari_alseg.errors import BadValue
from napari_alseg.segmentation.networks.device import half_precision

from .filters import filter_bank

FINEST = 4
"""Features of a smaller stride than this are left out: the finest map costs most memory
and was worth nothing on street scenes."""
REDUCED = 128
"""Stages with more channels than this keep so many principal components."""
LARGEST = 10.0
"""Deviations from the mean that a feature is held to: a filter answers to a single odd
pixel with hundreds."""
CACHE_BYTES = 180_000_000
"""Features kept in memory by one process."""

Stages: TypeAlias = Sequence[Float[Tensor, "B _ _ _"]]
"""One feature map a stride, finest first."""


def _bytes(maps: Iterable[Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in maps)


FEATURES: ByteCache[bytes, tuple[Tensor, ...]] = ByteCache(CACHE_BYTES, _bytes)
"""Shared by all networks of a process: what made the features is part of the key."""


class TorchvisionStages(nn.Module):
    """A torchvision backbone that gives one map a size.

    It is the last one of each size.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: ImageTensor) -> list[Tensor]:
        """Return feature maps, finest first."""
        by_size: dict[Any, Tensor] = {images.shape[-2:]: images}
        for layer in self.backbone.children():
            images = layer(images)
            by_size[images.shape[-2:]] = images
        return list(by_size.values())


class FrozenFeatures(nn.Module):
    """An encoder that does not learn, its features on one scale.

    Each channel has mean 0 and deviation 1 over the images it was `calibrate`d with;
    of a stage of very many channels the principal components are kept.

    Parameters
    ----------
    encoder : torch module
        Gives a list of feature maps, finest first.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self._fingerprint = b""
        self._fast: dict[torch.device, nn.Module] = {}
        """The encoder as it computes; no part of the weights."""
        for module in (self, encoder, *encoder.children()):  # other weights, features
            module.register_load_state_dict_post_hook(self._forget)  # type: ignore[no-untyped-call]
        found = self._stages(torch.zeros(1, 3, 64, 64))
        self.channels = tuple(min(each.shape[1], REDUCED) for each in found)
        """Channels D of each stage."""
        for index, (each, kept) in enumerate(zip(found, self.channels, strict=True)):
            self.register_buffer(f"mix_{index}", torch.eye(kept, each.shape[1]))
            self.register_buffer(f"shift_{index}", torch.zeros(kept))

    def train(self, mode: bool = True) -> "FrozenFeatures":
        """Stay in evaluation mode: batch normalisation must not move."""
        return super().train(False)

    def forward(self, images: ImageTensor) -> list[Tensor]:
        """Return the features of images whose colours are normalised.

        Returns
        -------
        list of float32 tensors of shape (B, D, h, w)
            One a stage, finest first.
        """
        if not self._fingerprint:
            self._fingerprint = _digest(self.state_dict().values())
        with torch.autocast(images.device.type, enabled=False):
            each_image = [self._of(image[None]) for image in images]
            return [
                torch.cat(maps).to(images.device, torch.float32)
                for maps in zip(*each_image, strict=True)
            ]

    def _of(self, image: ImageTensor) -> tuple[Tensor, ...]:
        """Features of one image (1, 3, h, w), half precision.

        Those of the encoder come from memory if they are there; the filters take less
        time than they would take room. They are differences of what is nearly the same,
        so that only the encoder computes in half precision.
        """
        key = self._fingerprint + _digest([image])
        kept = FEATURES.get(key)
        with torch.no_grad():
            if kept is None:
                kept = tuple(
                    self._scaled(stage, index).half().cpu()
                    for index, stage in enumerate(self._encode(image), 1)
                )
                FEATURES.put(key, kept)
            filters = self._scaled(filter_bank(image), 0).half().cpu()
        return filters, *kept

    def _scaled(self, stage: Tensor, index: int) -> Tensor:
        mix = getattr(self, f"mix_{index}")[..., None, None]  # (d, c, 1, 1)
        shift = getattr(self, f"shift_{index}")
        return functional.conv2d(stage.float(), mix, shift).clamp(-LARGEST, LARGEST)

    def _encode(self, images: ImageTensor) -> list[Tensor]:
        """Return the encoder's maps of stride `FINEST` and more."""
        if images.device not in self._fast:
            self._fast[images.device] = fused(self.encoder)
        with half_precision(images.device), torch.no_grad():
            maps = self._fast[images.device](
                images.to(memory_format=torch.channels_last)
            )
        if isinstance(maps, tuple):  # a vision transformer gives its tokens, too
            maps = maps[0]
        largest = images.shape[-1] // FINEST
        fine = [each for each in maps if each.shape[1] and each.shape[-1] <= largest]
        if not fine:
            raise BadValue(
                "this encoder gives no feature maps, so that no lightweight head can "
                "learn on it; take another encoder, for example mobilenet_v2"
            )
        return fine

    def _stages(self, images: ImageTensor) -> list[Tensor]:
        """Return the filters, then the encoder's maps."""
        return [filter_bank(images), *self._encode(images)]

    def calibrate(self, images: Iterable[ImageTensor], count: int) -> Task[None]:
        """Put the features of these images, colours normalised, on one scale.

        Parameters
        ----------
        images : iterable of tensors of shape (1, 3, H, W)
        count : int
            How many there are.
        """
        totals = [_Moments() for _ in self.channels]
        for done, image in enumerate(images, 1):
            for moments, stage in zip(totals, self._stages(image), strict=True):
                moments.add(stage[0].flatten(1).cpu().double())
            yield Progress(done, count, "looking at the pool")
        for index, (moments, kept) in enumerate(
            zip(totals, self.channels, strict=True)
        ):
            mix, shift = moments.scale(kept)
            getattr(self, f"mix_{index}").copy_(mix)
            getattr(self, f"shift_{index}").copy_(shift)
        self._fingerprint = b""

    def _forget(self, *_: Any) -> None:
        self._fingerprint, self._fast = b"", {}


class _Moments:
    """Mean and covariance of vectors that come in portions."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Any = 0.0
        self.products: Any = 0.0

    def add(self, vectors: Tensor) -> None:
        """Add vectors (c, N)."""
        self.count += vectors.shape[1]
        self.total = self.total + vectors.sum(1)
        self.products = self.products + vectors @ vectors.T

    def scale(self, kept: int) -> tuple[Tensor, Tensor]:
        """Return the matrix (kept, c) and shift that standardise."""
        mean = self.total / self.count
        covariance = self.products / self.count - torch.outer(mean, mean)
        deviation = covariance.diagonal().clamp(min=1e-6).sqrt()
        mix = torch.diag(1 / deviation)
        if kept < len(mean):
            values, vectors = torch.linalg.eigh(mix @ covariance @ mix)
            largest = values[-kept:].clamp(min=1e-6)
            # One scale for all components: what varies more says more.
            mix = vectors[:, -kept:].T / largest.mean().sqrt() @ mix
        return mix.float(), (-mix @ mean).float()


def fused(encoder: nn.Module) -> nn.Module:
    """Return a copy with batch normalisations fused into convolutions.

    In evaluation both are linear, so the result is the same but for rounding, and a
    sixth of the time is saved. Only layers that follow one another in a sequence are
    fused.
    """
    copy = deepcopy(encoder).eval()
    for sequence in [
        each for each in copy.modules() if isinstance(each, nn.Sequential)
    ]:
        for index in range(len(sequence) - 1):
            first, second = sequence[index], sequence[index + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                sequence[index] = fuse_conv_bn_eval(first, second)
                sequence[index + 1] = nn.Identity()
    return copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _digest(tensors: Iterable[Tensor]) -> bytes:
    found = blake2b(digest_size=16)
    for each in tensors:
        found.update(repr(tuple(each.shape)).encode())
        found.update(each.detach().cpu().contiguous().numpy().data)
    return found.digest()


def pixel_features(
    maps: Stages, rows: Tensor, columns: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Features at pixels, all stages joined; float16 (N, D).

    Between the cells of a map they are interpolated linearly, as logits are when they
    are enlarged.

    Parameters
    ----------
    maps : sequence of tensors of shape (1, d, h, w)
    rows, columns : int tensors of shape (N,)
    shape : (rows, columns)
        Pixels that the maps span.

    Examples
    --------
    >>> maps = [torch.tensor([[[[0.0, 4.0]]]])]  # two cells, of two pixels each
    >>> zeros = torch.zeros(4, dtype=torch.int)
    >>> pixel_features(maps, zeros, torch.arange(4), (1, 4))[:, 0]
    tensor([0., 1., 3., 4.], dtype=torch.float16)
    """
    height, width = shape
    across = (columns.float() + 0.5) / width * 2 - 1
    down = (rows.float() + 0.5) / height * 2 - 1
    places = torch.stack([across, down], -1)[None, None]  # (1, 1, N, 2)
    found = []
    for each in maps:
        # Beyond the middle of the outermost cells there is nothing between two of them.
        ends = 1 - 1 / torch.tensor([each.shape[-1], each.shape[-2]])
        inside = places.clamp(-ends, ends).to(each.device)
        sampled = functional.grid_sample(each, inside, align_corners=False)
        found.append(sampled[0, :, 0])
    return torch.cat(found).T.half()
