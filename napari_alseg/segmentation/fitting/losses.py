"""Losses of the training objectives."""

import torch
from torch import Tensor
from torch.nn import functional

from napari_alseg.arrays import IGNORE, LogitTensor, TargetTensor


def partial_cross_entropy(
    logits: LogitTensor, targets: TargetTensor, class_weight: Tensor | None = None
) -> Tensor:
    """Mean cross entropy of the labelled pixels, in nats.

    A batch without any label gives 0, with gradients of 0.

    Parameters
    ----------
    logits : tensor of shape (B, C, H, W)
    targets : uint8 or int64 tensor of shape (B, H, W)
        Class index, 255 = ignored.
    class_weight : float tensor of shape (C,), optional
        The mean is weighted by the weight of each pixel's class.

    Examples
    --------
    >>> logits = torch.tensor([[[[0.0, 9.0]], [[0.0, -9.0]]]])  # (1, 2, 1, 2)
    >>> targets = torch.tensor([[[1, 255]]])
    >>> round(float(partial_cross_entropy(logits, targets)), 4)
    0.6931
    """
    targets = targets.long()  # (B, H, W)
    total = functional.cross_entropy(
        logits.float(), targets, class_weight, ignore_index=IGNORE, reduction="sum"
    )
    labelled = targets[targets != IGNORE]  # (N,)
    if class_weight is None:
        return total / max(labelled.numel(), 1)
    share = class_weight[labelled].sum()
    return total / torch.where(share > 0, share, 1.0)


def difficulty_loss(
    difficulty: Tensor,
    logits: LogitTensor,
    targets: TargetTensor,
    *,
    mimic: bool = False,
) -> Tensor:
    """Class-balanced cross entropy of where the network errs.

    In nats, 0 or more. DEAL (Xie et al., ACCV 2020): a mean over the right pixels of
    the batch and one over the wrong ones, each weighted by 1 / sqrt(pixels + 1), the
    weights scaled to a sum of 1. A kind without pixels adds 0. Which pixels are wrong
    is taken from the logits as they are; that choice has no gradient.

    Parameters
    ----------
    difficulty : tensor of shape (B, H, W)
        Logit of being wrong.
    logits : tensor of shape (B, C, H, W)
        Of the classes.
    targets : uint8 or int64 tensor of shape (B, H, W)
        Class index, 255 = ignored.
    mimic : bool
        Count ignored pixels as right, as the authors' code does.

    Examples
    --------
    >>> logits = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])  # (1, 2, 1, 2)
    >>> targets = torch.tensor([[[0, 1]]])  # one right, one wrong
    >>> round(float(difficulty_loss(torch.tensor([[[-9.0, 0.0]]]), logits, targets)), 4)
    0.3466
    """
    known = targets != IGNORE  # (B, H, W)
    wrong = known & (logits.detach().max(1).indices != targets)
    right = ~wrong if mimic else known & ~wrong
    kinds = torch.stack([right, wrong]).flatten(1).float()  # (2, N)
    each = functional.binary_cross_entropy_with_logits(
        difficulty.float(), wrong.float(), reduction="none"
    )  # (B, H, W)
    counts = kinds.sum(1)  # (2,)
    weights = (counts + 1).rsqrt()
    means = (kinds * each.flatten()).sum(1) / counts.clamp(min=1)
    return (weights / weights.sum() * means).sum()


def consistency_loss(logits: LogitTensor, mirrored: LogitTensor) -> Tensor:
    """Disagreement between the logits of two mirrored views.

    EquAL (Golestaneh & Kitani, BMVC 2020): each view is pulled to the other as it is,
    MSE(z1, stop(z2)) + MSE(z2, stop(z1)), over all pixels, labelled or not. The
    gradient is that of one plain MSE, the value twice as large.

    Parameters
    ----------
    logits : tensor of shape (B, C, H, W)
    mirrored : tensor of shape (B, C, H, W)
        Of the mirrored images, mirrored back.

    Examples
    --------
    >>> one, other = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 3.0]]]])
    >>> float(consistency_loss(one, other))
    10.0
    """
    first, second = logits.float(), mirrored.float()
    forth = functional.mse_loss(first, second.detach())
    return forth + functional.mse_loss(second, first.detach())


def borders(targets: TargetTensor) -> Tensor:
    """Whether a labelled pixel touches one of another class.

    One of its 8 neighbours, that is.

    RIPU's code takes the Laplacian of the class indices, which misses the middle of
    stripes 0|1|2 and takes image borders for label borders; this compares the labels.
    An ignored pixel is no border and makes none.

    Parameters
    ----------
    targets : uint8 or int64 tensor of shape (B, H, W)

    Returns
    -------
    bool tensor of shape (B, H, W)

    Examples
    --------
    >>> borders(torch.tensor([[[0, 0, 1, 255, 2]]]))
    tensor([[[False,  True,  True, False, False]]])
    """
    # The highest and the lowest class around a pixel; the ignored count as neither.
    known = targets != IGNORE
    classes = targets.float()
    highest = _highest(torch.where(known, classes, -1.0))
    lowest = -_highest(torch.where(known, -classes, -float(IGNORE)))
    return known & (highest != lowest)


def _highest(values: Tensor) -> Tensor:
    """Maximum of the 3 x 3 pixels around each; (B, H, W)."""
    return functional.max_pool2d(values[:, None], 3, stride=1, padding=1)[:, 0]


def local_consistency_loss(probability: Tensor, targets: TargetTensor) -> Tensor:
    """Difference of border pixels from their neighbourhood, 0..2.

    RIPU (Xie et al., CVPR 2022): the sum over classes of the difference between a
    pixel's probability and the mean of the 3 x 3 pixels around it, itself included;
    mean over the pixels on borders between labels (`borders`). No border gives 0.

    Parameters
    ----------
    probability : float tensor of shape (B, C, H, W)
    targets : uint8 or int64 tensor of shape (B, H, W)
        Class index, 255 = ignored.

    Examples
    --------
    >>> targets = torch.tensor([[[0, 1, 1]] * 3])
    >>> one_hot = torch.eye(2)[targets].permute(0, 3, 1, 2)
    >>> middle = torch.tensor([[[255, 255, 255], [0, 1, 255], [255, 255, 255]]])
    >>> round(float(local_consistency_loss(one_hot, middle)), 4)  # 1/3 and 2/3, twice
    0.6667
    """
    padded = functional.pad(probability.float(), (1, 1, 1, 1), mode="replicate")
    mean = functional.avg_pool2d(padded, 3, stride=1)  # (B, C, H, W)
    each = (probability - mean).abs().sum(1)  # (B, H, W)
    on = borders(targets)
    return (each * on).sum() / on.sum().clamp(min=1)


def negative_learning_loss(probability: Tensor, threshold: float = 0.05) -> Tensor:
    """Mean of -ln(1 - p) over all low probabilities, in nats.

    RIPU (Xie et al., CVPR 2022): what is improbable is made still less probable, on
    all pixels. The mean is over pairs of pixel and class; without any it is 0.

    Parameters
    ----------
    probability : float tensor of any shape
    threshold : float
        0..1.

    Examples
    --------
    >>> probability = torch.tensor([0.97, 0.02, 0.01])
    >>> round(float(negative_learning_loss(probability)), 5)  # (.02020 + .01005) / 2
    0.01513
    """
    low = probability < threshold
    each = -torch.log1p(-torch.where(low, probability, 0.0).float())
    return each.sum() / low.sum().clamp(min=1)
