"""Let torchvision be imported beside a torch of another build.

torchvision from PyPI is compiled against CUDA; beside a CPU-only torch its compiled
operators cannot be loaded, and its import then fails because the schemas of two of
them are missing. Networks and transforms need neither, so naming the schemas is enough.
"""

from importlib import import_module

from torch.library import Library

_SCHEMAS = tuple(
    f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for name in ("nms", "qnms")
)
_kept: list[Library] = []  # the schemas live as long as their Library object


def import_torchvision() -> bool:
    """Import torchvision; define operator schemas if need be.

    Returns whether that was needed.

    Raises
    ------
    RuntimeError
        torchvision's own, if it does not come from the missing operators.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        library = Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            library.define(schema)  # type: ignore[no-untyped-call]
        _kept.append(library)
        import_module("torchvision")
        return True
    return False
