"""What training makes small."""

import torch
from torch import Tensor
from torch.nn import functional

from napari_alseg.arrays import IGNORE, LogitTensor, TargetTensor


def partial_cross_entropy(
    logits: LogitTensor, targets: TargetTensor, class_weight: Tensor | None = None
) -> Tensor:
    """Mean cross entropy of the labelled pixels, in nats, 0 or more.

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
    """Class-balanced cross entropy of where the network errs, in nats, 0 or more.

    DEAL (Xie et al., ACCV 2020): a mean over the right pixels of the batch and one
    over the wrong ones, each weighted by 1 / sqrt(pixels + 1), the weights scaled to a
    sum of 1. A kind without pixels adds 0. Which pixels are wrong is taken from the
    logits as they are; that choice has no gradient.

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
