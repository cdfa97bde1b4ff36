import numpy as np
import torch

from napari_alseg.segmentation.fitting.checkpoint import to_arrays, to_tensors

GROUPS = {
    "newest": {"a/b.weight": torch.rand(2, 4, 4, 3).permute(0, 3, 1, 2)},
    "best": {"count": torch.tensor(7), "bias": torch.rand(3, requires_grad=True)},
    "average": {},
}


def test_tensors_come_back_in_their_groups():
    arrays = to_arrays(GROUPS)
    assert set(arrays) == {"newest/a/b.weight", "best/count", "best/bias"}
    found = to_tensors(arrays)
    for group, tensors in GROUPS.items():
        assert found[group].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert torch.equal(found[group][name], tensor)


def test_neither_side_shares_memory_with_the_other():
    weight = torch.zeros(3)
    arrays = to_arrays({"best": {"bias": weight}})
    weight.fill_(1)
    assert not arrays["best/bias"].any()
    arrays["best/bias"].setflags(write=False)  # as a file that is mapped
    found = to_tensors(arrays)["best"]["bias"].fill_(2)
    assert np.array_equal(arrays["best/bias"], [0, 0, 0])
    assert found.tolist() == [2, 2, 2]
