import pytest

from napari_alseg.arrays import LabelClass
from napari_alseg.errors import BadClasses
from napari_alseg.store import check_classes, default_classes
from napari_alseg.store.classes import colours

OTHER = LabelClass("other", (9, 9, 9))


def test_every_class_has_its_own_colour_and_none_napari_key():
    classes = default_classes([str(i) for i in range(254)])
    assert len({entry.colour for entry in classes}) == 254
    keys = [entry.key for entry in classes if entry.key]
    assert len(set(keys)) == len(keys)
    assert keys[:10] == list("1234567890")
    assert not set(keys) & set("epflzmxbv")
    assert len(colours(3)) == 3


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([LabelClass("a", (0, 0, 0)), LabelClass("a", (1, 1, 1))], "'a' twice"),
        ([LabelClass("a", (0, 0, 0), "q"), LabelClass("b", (1, 1, 1), "q")], "key 'q'"),
        ([LabelClass("a", (0, 0, 300)), OTHER], "0 to 255"),
        ([LabelClass(str(i), (0, 0, 0)) for i in range(255)], "has 255 classes"),
    ],
)
def test_classes_that_contradict_one_another(classes, said):
    with pytest.raises(BadClasses, match=said):
        check_classes(classes, "the list")


@pytest.mark.parametrize("key", ["s", "W", "ab", " "])
def test_a_key_that_the_window_needs_or_that_is_none_is_refused(key):
    classes = [LabelClass("a", (1, 2, 3), key), OTHER]
    with pytest.raises(BadClasses, match="key"):
        check_classes(classes, "the table")


def test_keys_differ_by_more_than_their_case():
    classes = [LabelClass("a", (1, 2, 3), "q"), LabelClass("b", (1, 2, 4), "Q")]
    with pytest.raises(BadClasses, match="twice"):
        check_classes(classes, "the table")
