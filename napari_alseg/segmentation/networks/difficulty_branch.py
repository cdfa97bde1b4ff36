"""A branch that learns where its network errs."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_alseg.arrays import LogitTensor

CELLS = 4800
"""Most cells of the grid on which pixels are compared, each with each: the 60 x 80 of
the authors for CamVid. The cost grows with the square of this."""

CELL = 4
"""Shortest side of a cell in pixels; most networks decide at a quarter of the size."""


class DifficultyBranch(nn.Module):
    """The logit of being wrong, of the classes' logits.

    DEAL (Xie et al., ACCV 2020). Pixels that look alike to the network are to share
    one difficulty, so that probabilities are first mixed by how much they agree.
    Departures from the authors' code: a cell takes the mean of its logits, not one
    point of them; the borders of grid and image coincide, not the centres of their
    corner pixels; the attention counts whatever gamma is, while theirs is skipped
    when gamma falls below -0.01.

    Parameters
    ----------
    classes : int
        Number of classes C.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.score = nn.Conv2d(classes, 1, kernel_size=1)

    def forward(self, logits: LogitTensor) -> Tensor:
        """Logit of being wrong, float32; (B, H, W).

        Gradients flow back into the logits, so that this branch teaches the network.
        """
        size = logits.shape[-2:]
        # Half precision has too few digits for a softmax over thousands of cells.
        with torch.autocast(logits.device.type, enabled=False):
            small = functional.adaptive_avg_pool2d(logits.float(), grid(*size))
            mixed = attend(small.softmax(1), self.gamma)  # (B, C, h, w)
            score: Tensor = self.score(mixed)  # (B, 1, h, w)
            return functional.interpolate(score, size, mode="bilinear")[:, 0]


def grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of cells for an image.

    They are about square, and at most `CELLS`.

    Examples
    --------
    >>> grid(360, 480), grid(48, 64)
    ((60, 80), (12, 16))
    """
    side = max(CELL, sqrt(height * width / CELLS))
    return max(1, int(height / side)), max(1, int(width / side))


def attend(probability: Tensor, gamma: Tensor) -> Tensor:
    """Probabilities plus gamma times those of similar pixels.

    The attention of pixel i to pixel j is the softmax over j of their scalar product.

    Parameters
    ----------
    probability : float tensor of shape (B, C, h, w)
    gamma : tensor of one number

    Examples
    --------
    >>> two = torch.eye(2)[None, :, None]  # (1, 2, 1, 2)
    >>> attend(two, torch.tensor(1.0))[0, :, 0]
    tensor([[1.7311, 0.2689],
            [0.2689, 1.7311]])
    """
    pixels = probability.flatten(2).transpose(1, 2)  # (B, N, C)
    # Contiguous, torch needs no memory for the N x N attention.
    pixels = pixels[:, None].contiguous()  # (B, 1, N, C)
    mixed = functional.scaled_dot_product_attention(pixels, pixels, pixels, scale=1.0)
    return probability + gamma * mixed[:, 0].transpose(1, 2).reshape(probability.shape)
