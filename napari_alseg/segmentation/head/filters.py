"""Classical filters of an image, beside what a pretrained encoder sees.

An encoder that learnt from photographs knows little of electron or fluorescence
microscopy. Smoothed intensity, edges and ridges at several widths add what it lacks:
measured with few labelled pixels, 3 points of mIoU on electron microscopy of tissue,
1 to 2 on stained nuclei and nothing, neither way, on street scenes.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

STRIDE = 4
"""Pixels of the image in a cell of the maps, each way."""
WIDTHS = ((1.0, 1), (1.0, 2), (1.0, 4), (2.0, 4))
"""Standard deviation of a Gaussian, and how much the image is shrunk before: together
widths of 1, 2, 4 and 8 pixels."""
MAPS = 1 + 4 * len(WIDTHS)


def filter_bank(images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 17 h w"]:
    """Return the intensity and four maps of each width.

    The four are the smoothed intensity, the length of its gradient and the larger and
    smaller eigenvalue of its Hessian, the derivatives in units of the width. Colours
    are averaged first, and all maps over cells last.

    Parameters
    ----------
    images : float tensor of shape (B, 3, H, W)

    Returns
    -------
    float tensor of shape (B, 17, ceil(H / 4), ceil(W / 4))

    Examples
    --------
    >>> filter_bank(torch.ones(1, 3, 8, 8))[0, :5, 0, 0].round(decimals=3).abs()
    tensor([1., 1., 0., 0., 0.])
    """
    grey = images.mean(1, keepdim=True)
    maps = [_cells(grey, STRIDE)]
    for deviation, shrink in WIDTHS:
        found = _of_width(_smooth(_cells(grey, shrink), deviation), deviation)
        maps.append(_cells(found, STRIDE // shrink))
    return torch.cat(maps, 1)


def _of_width(smooth: Tensor, deviation: float) -> Tensor:
    """Intensity, gradient and two curvatures; (B, 4, H, W)."""
    padded = functional.pad(smooth, (1, 1, 1, 1), mode="replicate")
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    up, down = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    across, along = (right - left) / 2, (down - up) / 2
    xx, yy = right + left - 2 * smooth, down + up - 2 * smooth
    diagonal = padded[..., 2:, 2:] + padded[..., :-2, :-2]
    xy = (diagonal - padded[..., 2:, :-2] - padded[..., :-2, 2:]) / 4
    spread = (((xx - yy) / 2) ** 2 + xy**2).sqrt()
    gradient = deviation * (across**2 + along**2).sqrt()
    curvatures = [deviation**2 * ((xx + yy) / 2 + sign * spread) for sign in (1, -1)]
    return torch.cat([smooth, gradient, *curvatures], 1)


def _cells(images: Tensor, side: int) -> Tensor:
    """Average squares of pixels, smaller ones at the far edges."""
    if side == 1:
        return images
    return functional.avg_pool2d(images, side, ceil_mode=True)


def _smooth(images: Tensor, deviation: float) -> Tensor:
    """Convolve with a Gaussian, rows and columns apart."""
    reach = int(3 * deviation + 0.5)
    place = torch.arange(-reach, reach + 1, device=images.device)
    kernel = torch.exp(-(place**2) / (2 * deviation**2))
    kernel = (kernel / kernel.sum()).to(images.dtype)
    edges = functional.pad(images, (reach,) * 4, mode="replicate")
    rows = functional.conv2d(edges, kernel.view(1, 1, 1, -1))
    return functional.conv2d(rows, kernel.view(1, 1, -1, 1))
