import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import LabelClass
from napari_alseg.errors import BadClasses
from napari_alseg.store import (
    ClassTable,
    check_classes,
    default_classes,
    read_classes,
    write_classes,
)
from napari_alseg.store.classes import colours

HEAD = "value,name,red,green,blue\n"
OTHER = LabelClass("other", (9, 9, 9))


def written(tmp_path, text):
    path = tmp_path / "classes.csv"
    path.write_text(text)
    return path


def test_read_classes(tmp_path):
    path = written(tmp_path, f"{HEAD}0,Sky,1,2,3\n7,Road,4,5,6\n255,ignore,0,0,0\n")
    table = read_classes(path)
    assert table.classes == (
        LabelClass("Sky", (1, 2, 3), "1"),
        LabelClass("Road", (4, 5, 6), "2"),
    )
    assert table.labels_of_values == {0: 1, 7: 2, 255: 0}
    assert table.labels_of_colours == {(1, 2, 3): 1, (4, 5, 6): 2, (0, 0, 0): 0}


def test_keys_of_the_file_are_kept(tmp_path):
    text = "value,name,red,green,blue,key\n0,Sky,1,2,3,q\n1,Road,4,5,6,\n"
    keys = [entry.key for entry in read_classes(written(tmp_path, text)).classes]
    assert keys == ["q", ""]


def test_a_byte_order_mark_does_not_hide_a_column(tmp_path):
    table = read_classes(written(tmp_path, f"\ufeff{HEAD}0,Sky,1,2,3\n2,Road,1,2,3\n"))
    assert table.values == (0, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("value,name,red\n0,Sky,1\n", "line 1 lacks green, blue"),
        (f"{HEAD}0,Sky,1,2,3\n0,Road,4,5,6\n", "lines 2 and 3 have the same value 0"),
        (f"{HEAD}0,Sky,1,2,3\n1,Sky,4,5,6\n", "lines 2 and 3 have the same name 'Sky'"),
        (f"{HEAD}0,Sky,1,2,256\n", "line 2: blue must be .* got '256'"),
        (f"{HEAD}-1,Sky,1,2,3\n", "line 2: value must be .* got '-1'"),
        (f"{HEAD}0,Sky,1,2\n", "line 2: blue must be .* got ''"),
        (HEAD, "has 0 classes"),
        (f"{HEAD}255,ignore,0,0,0\n", "has 0 classes"),
        (f"{HEAD}1,nucleus,1,2,3\n", "has 1 class; .*'background'"),
        (f"{HEAD}0,,1,2,3\n1,b,1,2,3\n", "without a name"),
    ],
)
def test_bad_tables_name_the_line(tmp_path, text, said):
    with pytest.raises(BadClasses, match=said):
        read_classes(written(tmp_path, text))


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(BadClasses, match="cannot be read"):
        read_classes(tmp_path / "none.csv")


@settings(max_examples=25)
@given(st.integers(2, 254), st.booleans())
def test_written_tables_read_back(tmp_path_factory, count, ignored):
    classes = default_classes([f"class, {i}" for i in range(count)])
    table = ClassTable(
        classes,
        tuple(range(3, count + 3)),
        1 if ignored else None,
        (9, 9, 9) if ignored else None,
    )
    path = tmp_path_factory.mktemp("classes") / "classes.csv"
    write_classes(path, table)
    assert read_classes(path) == table


def test_a_table_without_a_file_takes_the_labels_as_values():
    table = ClassTable.of(default_classes(["a", "b"]))
    assert table.labels_of_values == {0: 0, 1: 1, 2: 2}


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
