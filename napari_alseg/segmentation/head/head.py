"""A lightweight head on a frozen encoder.

What it learns from an answer takes a second. The head sees features of several strides
at labelled pixels only. One hidden layer is enough: on 100 labelled pixels an image of
CamVid it comes as far as a full network that learns for many minutes, since the
pretrained features know most already.

The idea of a lightweight model on features of a frozen network is not new (ilastik
learns a random forest on filters; Hypercolumns, Hariharan et al., CVPR 2015, join
features of several strides); the queue that follows it is.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from napari_alseg.arrays import ImageTensor, LogitTensor, Progress, Task
from napari_alseg.settings import LiveSettings

from .frozen import FrozenFeatures, Stages, TorchvisionStages
from .samples import Samples

LIVE = "live/"
"""What the name of a network with a frozen encoder begins with."""
HIDDEN = 128
"""Units of the hidden layer."""
DROPOUT = 0.1
"""Share of them that a training step leaves out."""
CALIBRATED_WITH = 16
"""Images that put the features on one scale."""
CHUNK = 20
"""Steps between two progresses."""


class Head(nn.Module):
    """One hidden layer on joined features.

    It is the same for single pixels and for maps.

    Parameters
    ----------
    channels : sequence of int
        Of each stage.
    classes : int
    """

    def __init__(self, channels: Iterable[int], classes: int) -> None:
        super().__init__()
        depths = tuple(channels)
        self.mix = nn.ModuleList(
            nn.Conv2d(depth, HIDDEN, 1, bias=index == 0)
            for index, depth in enumerate(depths)
        )
        for each in self.mix:  # as one layer would begin that sees all stages joined
            nn.init.uniform_(each.weight, -(sum(depths) ** -0.5), sum(depths) ** -0.5)  # type: ignore[arg-type]
        self.dropout = nn.Dropout(DROPOUT)
        self.classify = nn.Conv2d(HIDDEN, classes, 1)

    def forward(self, maps: Stages) -> Tensor:
        """Logits of the finest map's size; (B, C, h, w)."""
        size = maps[0].shape[-2:]
        hidden = self.mix[0](maps[0])
        for mix, features in zip(self.mix[1:], maps[1:], strict=True):
            hidden += functional.interpolate(mix(features), size, mode="bilinear")
        logits: Tensor = self.classify(self.dropout(hidden.relu_()))
        return logits

    def of_pixels(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N C"]:
        """Logits of single pixels, their features joined."""
        weight = torch.cat([mix.weight[..., 0, 0] for mix in self.mix], 1)  # type: ignore[union-attr, index]
        hidden = functional.linear(features, weight, self.mix[0].bias)  # type: ignore[arg-type]
        last = self.classify.weight[..., 0, 0]
        return functional.linear(self.dropout(hidden.relu()), last, self.classify.bias)


class LiveBody(nn.Module):
    """A frozen encoder with a head: a `Network`'s body.

    Parameters
    ----------
    encoder : torch module
    classes : int
    """

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.features = FrozenFeatures(encoder)
        self.head = Head(self.features.channels, classes)

    def new_head(self, seed: int) -> Head:
        """Head that knows nothing, where the present one is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = Head(self.features.channels, self.head.classify.out_channels)
        return head.to(self.head.classify.weight.device)

    @property
    def encoder(self) -> nn.Module:
        """The part that may have been pretrained."""
        stages = self.features.encoder
        return stages.backbone if isinstance(stages, TorchvisionStages) else stages

    def forward(self, images: ImageTensor) -> LogitTensor:
        """Logits of the images' size; colours are normalised."""
        logits = self.head(self.features(images))
        size = images.shape[-2:]
        return functional.interpolate(logits, size, mode="bilinear")


def learn_head(
    head: Head, samples: Samples, settings: LiveSettings, *, steps: int, seed: int = 0
) -> Task[float]:
    """Teach a head some samples, from where it is.

    Classes are drawn evenly to the degree that the settings say, and within a class
    all samples alike. The rate falls to zero along (1 - t) ** 0.9, so that a few steps
    settle, too.

    Parameters
    ----------
    head : Head
    samples : Samples
    settings : LiveSettings
    steps : int
    seed : int
        Same seed, same samples, same CPU and threads: same head.

    Returns
    -------
    float
        Mean loss of the last steps.
    """
    device, targets = head.classify.weight.device, samples.targets.long()
    optimiser = torch.optim.AdamW(
        head.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    head.train()
    losses = []
    for step, some in enumerate(_drawn(targets, settings, steps, seed)):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - step / steps) ** 0.9
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + step)
            logits = head.of_pixels(samples.features[some].to(device).float())
        loss = functional.cross_entropy(logits, targets[some].to(device))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % CHUNK == 0:
            yield Progress(step + 1, steps, "learning live", {"loss": losses[-1]})
    head.eval()
    return sum(losses[-CHUNK:]) / len(losses[-CHUNK:])


def _drawn(targets: Tensor, settings: LiveSettings, steps: int, seed: int) -> Tensor:
    """Draw the samples of each step; int64 (steps, size)."""
    counts = torch.bincount(targets).clamp(min=1).double()
    chance = counts[targets] ** -settings.class_balance
    generator = torch.Generator().manual_seed(seed)
    size = min(settings.batch_size, len(targets))
    drawn = torch.multinomial(chance, steps * size, True, generator=generator)
    return drawn.view(steps, size)


def is_lightweight(metadata: Mapping[str, Any]) -> bool:
    """Whether weights are of a lightweight head on a frozen encoder."""
    return str(metadata["network"]).startswith(LIVE)
