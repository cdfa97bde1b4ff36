"""Data that simulations share."""

import shutil

import pytest


@pytest.fixture
def source(dataset, tmp_path):
    """The data set again, as another domain."""
    return shutil.copytree(dataset, tmp_path / "other-domain")
