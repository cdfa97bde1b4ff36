"""Tables of classes as people and spreadsheets write them."""

import pytest

from napari_alseg.arrays import LabelClass
from napari_alseg.errors import BadClasses
from napari_alseg.store import ClassTable, default_classes, read_classes

HEAD = "value,name,red,green,blue\n"
PLAIN = f"{HEAD}0,Sky,1,2,3\n7,Road,4,5,6\n255,ignore,0,0,0\n"


@pytest.fixture
def written(tmp_path):
    """Write a table as text, or as bytes; return its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "classes.csv"
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return path

    return write


def test_values_colours_and_keys(written):
    table = read_classes(written(PLAIN))
    assert table.classes == (
        LabelClass("Sky", (1, 2, 3), "1"),
        LabelClass("Road", (4, 5, 6), "2"),
    )
    assert table.labels_of_values == {0: 1, 7: 2, 255: 0}
    assert table.labels_of_colours == {(1, 2, 3): {1}, (4, 5, 6): {2}, (0, 0, 0): {0}}


def test_keys_of_the_file_are_kept(written):
    text = "value,name,red,green,blue,key\n0,Sky,1,2,3,q\n1,Road,4,5,6,\n"
    assert [entry.key for entry in read_classes(written(text)).classes] == ["q", ""]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", " , "),
        PLAIN.replace("value,name", "Value, NAME").replace("red", "RED"),
        PLAIN.replace("\n", ",,\n"),
        PLAIN.replace("\n", "\n\n,,,,\n"),
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN.replace("red,green,blue", "r,g,b").replace("value", "id"),
        PLAIN.replace("Sky", '"Sky"'),
        "sep=;\n" + PLAIN.replace(",", ";"),
    ],
    ids=[
        *("semicolon", "tab", "spaces", "case", "empty columns", "empty rows"),
        *("windows lines", "mark", "short names", "quotes", "separator line"),
    ],
)
def test_every_spelling_is_the_same_table(written, text):
    assert read_classes(written(text)) == read_classes(written(PLAIN))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_spreadsheets(written, encoding):
    text = f"{HEAD}0,Straße,1,2,3\n1,Grün,4,5,6\n"
    table = read_classes(written(text, encoding))
    assert table.names == ("Straße", "Grün")


def test_an_unknown_encoding_says_what_to_do(written):
    with pytest.raises(BadClasses, match="save it as UTF-8"):
        read_classes(written(b"value,name\0"))


def test_colours_may_be_left_out(written):
    table = read_classes(written("value,name\n0,sky\n1,road\n"))
    assert len({entry.colour for entry in table.classes}) == 2
    assert table.labels_of_colours == {}


def test_several_values_of_a_class_and_several_ignored(written):
    """As the labelIds of Cityscapes have them."""
    text = (
        "value,name,red,green,blue\n-1,ignore,0,0,142\n0,unlabelled,0,0,0\n"
        "7,road,128,64,128\n9,road,250,170,160\n26,car,0,0,142\n255,Ignore,9,9,9\n"
    )
    table = read_classes(written(text))
    assert table.names == ("road", "car")
    assert table.labels_of_values == {-1: 0, 0: 0, 7: 1, 9: 1, 26: 2, 255: 0}
    assert table.labels_of_colours[0, 0, 142] == {0, 2}
    assert table.labels_of_colours[250, 170, 160] == {1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("value,name,red\n0,Sky,1\n", "line 1 lacks green, blue"),
        ("name,colour\nSky,1\n", "line 1 lacks value"),
        ("", "line 1 lacks value, name"),
        (f"{HEAD}0,Sky,1,2,3\n0,Road,4,5,6\n", "lines 2 and 3 have the same value 0"),
        (f"{HEAD}0,Sky,1,2,256\n", "line 2: blue must be .* got '256'"),
        (f"{HEAD}1.5,Sky,1,2,3\n", "line 2: value must be .* got '1.5'"),
        (f"{HEAD}70000,Sky,1,2,3\n", "from -32768 to 65535"),
        (f"{HEAD}0,Sky,1,2\n", "line 2: blue must be .* got ''"),
        (HEAD, "has 0 classes"),
        (f"{HEAD}255,ignore,0,0,0\n", "has 0 classes"),
        (f"{HEAD}1,nucleus,1,2,3\n", "has 1 class; .*'background'"),
        (f"{HEAD}0,,1,2,3\n1,b,1,2,3\n", "line 2 has no name"),
    ],
)
def test_bad_tables_name_the_line(written, text, said):
    with pytest.raises(BadClasses, match=said):
        read_classes(written(text))


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(BadClasses, match="cannot be read"):
        read_classes(tmp_path / "none.csv")
    with pytest.raises(BadClasses, match="is no folder"):
        read_classes(tmp_path / "none" / "classes.csv")


def test_names_alone_say_nothing_of_values():
    table = ClassTable.of(default_classes(["a", "b"]))
    assert table.rows == ()
    assert table.names == ("a", "b")
