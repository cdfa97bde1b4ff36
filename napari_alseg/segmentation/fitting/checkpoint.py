"""Groups of tensors as arrays by name, as a checkpoint holds them."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def to_arrays(groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, np.ndarray]:
    """Copy all tensors, named by group and tensor.

    Examples
    --------
    >>> to_arrays({"best": {"bias": torch.ones(2)}, "average": {}})
    {'best/bias': array([1., 1.], dtype=float32)}
    """
    return {
        f"{group}/{name}": value.detach().cpu().contiguous().numpy().copy()
        for group, tensors in groups.items()
        for name, value in tensors.items()
    }


def to_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Tensor]]:
    """Return the groups of `to_arrays`; those without a tensor are empty.

    Examples
    --------
    >>> groups = to_tensors({"best/bias": np.ones(2, np.float32)})
    >>> groups["best"], groups["average"]
    ({'bias': tensor([1., 1.])}, {})
    """
    groups: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, value in arrays.items():
        group, _, name = key.partition("/")
        groups[group][name] = torch.from_numpy(np.array(value))
    return groups
