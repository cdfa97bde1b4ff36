import inspect

import pytest

from napari_alseg import errors
from napari_alseg.errors import AlsegError, UnknownName

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, AlsegError) and kind is not AlsegError
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_drawn_tree_names_every_error(kind):
    assert f" {kind.__name__} " in errors.__doc__


def test_an_unknown_name_lists_the_known_ones():
    text = str(UnknownName("system", "entrpy", ["random", "entropy"]))
    assert "did you mean 'entropy'?" in text
    assert "entropy, random" in text
    assert "did you mean" not in str(UnknownName("system", "zzz", ["random"]))
