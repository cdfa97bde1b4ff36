"""Where to compute."""

import torch

from napari_alseg.errors import BadValue, UnknownName

DEVICES = ("auto", "cpu", "cuda", "mps")


def available() -> list[str]:
    """Kinds of device of this computer, the fastest first."""
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.insert(0, "mps")
    if torch.cuda.is_available():
        found.insert(0, "cuda")
    return found


def choose_device(name: str) -> torch.device:
    """Return the device of that name.

    'auto' takes CUDA, then MPS, then the CPU.

    Raises
    ------
    UnknownName
        If the name is no kind of device.
    BadValue
        If this computer has no such device.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name not in DEVICES:
        raise UnknownName("device", name, DEVICES)
    found = available()
    if name == "auto":
        return torch.device(found[0])
    if name not in found:
        raise BadValue(
            f"device {name!r} was asked for, but this computer offers only "
            f"{', '.join(found)}; choose one of these or 'auto'"
        )
    return torch.device(name)


def half_precision(device: torch.device) -> torch.autocast:
    """Return the context of a forward pass.

    It is bfloat16 on CUDA that has it, else nothing changes.

    bfloat16 keeps the range of float32, so that no loss scaling is needed.
    """
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(
        including_emulation=False  # which is slower than float32
    )
    return torch.autocast(device.type, torch.bfloat16, enabled=able)
