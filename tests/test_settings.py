import pytest

from napari_alseg.errors import BadValue
from napari_alseg.settings import TrainingSettings, check


def test_limits_are_enforced_with_the_name_and_the_value():
    with pytest.raises(BadValue, match="epochs must be from 1 to 10000, got 0"):
        check(TrainingSettings(epochs=0))
    assert check(TrainingSettings(epochs=1)).epochs == 1
