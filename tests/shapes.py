"""Shapes and types of arguments, checked while tests run.

``pytest --jaxtyping-packages=PACKAGE,...,shapes.typechecker`` checks each call.
"""

import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError

from napari_alseg.errors import BadValue

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""Takes an int where a float is asked for, as PEP 484 and mypy do."""


def refused(text, error=BadValue):
    """Expect that an argument is refused, by its function or by the checker."""
    return pytest.raises((error, TypeCheckError), match=f"{text}|Type-check error")
