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
