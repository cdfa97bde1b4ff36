"""Which readings fit a folder of masks: a table of folders and what they mean."""

import numpy as np
import pytest
import tifffile
from PIL import Image as pillow
from PIL.PngImagePlugin import PngInfo

from napari_alseg.errors import AmbiguousMasks, BadValue, MaskMismatch
from napari_alseg.store import (
    MARK,
    MARKED_LABELS,
    ClassTable,
    apply_rule,
    default_classes,
    facts_of,
    find_rule,
    inspect,
    read_classes,
)

SHAPE = (20, 30)


def names(*given):
    return ClassTable.of(default_classes(given))


TWO, THREE = names("background", "object"), names("a", "b", "c")


def mask(*values, dtype=np.uint8):
    """Bands of values, scattered so that no value is one object."""
    array = np.zeros(SHAPE, dtype)
    for at, value in enumerate(values):
        array[at :: len(values)] = value
    return array


@pytest.fixture
def folder(tmp_path):
    """Save masks under numbered names; return what each holds."""
    tmp_path.joinpath("masks").mkdir()

    def save(*arrays, ending=".png", classes=2, palette=None, **more):
        facts = []
        for at, array in enumerate(arrays):
            path = tmp_path / "masks" / f"{at}{ending}"
            if ending == ".tif":
                tifffile.imwrite(path, array, **more)
            else:
                picture = pillow.fromarray(array, "P" if palette else None)
                if palette:
                    picture.putpalette(palette)
                picture.save(path, **more)
            facts.append(facts_of(inspect(path), classes))
        return facts

    return save


def table(tmp_path, text):
    (tmp_path / "classes.csv").write_text("value,name,red,green,blue\n" + text)
    return read_classes(tmp_path / "classes.csv")


def labels(facts, rule):
    return apply_rule(inspect(facts.path), rule)


def words(error):
    return [reading.word for reading in error.value.readings]


@pytest.mark.parametrize(
    ("masks", "classes", "expected"),
    [
        ([mask(0, 255)], TWO, {0: 1, 255: 2}),
        ([mask(0, 65535, dtype=np.uint16)], TWO, {0: 1, 65535: 2}),
        ([mask(0, 128)], TWO, {0: 1, 128: 2}),
        ([mask(0, 1, dtype=bool)], TWO, {0: 1, 1: 2}),
        ([mask(0, 1), mask(1, 2)], TWO, {0: 0, 1: 1, 2: 2}),
        ([mask(1), mask(1)], TWO, {1: 1}),
        ([mask(1, 2, 3)], THREE, {1: 1, 2: 2, 3: 3}),
        ([mask(0, 3)], THREE, {0: 0, 3: 3}),
        ([mask(0, 1, 2, 255)], TWO, {0: 0, 1: 1, 2: 2, 255: 0}),
    ],
)
def test_what_fits_once_is_taken(folder, masks, classes, expected):
    rule = find_rule(folder(*masks, classes=len(classes.classes)), classes)
    assert {value: rule.labels[value] for value in expected} == expected


@pytest.mark.parametrize(
    ("masks", "classes"),
    [
        ([mask(0, 1)], TWO),
        ([mask(0), mask(1)], TWO),
        ([mask(0, 1, 2)], THREE),
        ([mask(0, 2)], THREE),
        ([mask(0, 1, 255)], TWO),
        ([mask(0)], TWO),
    ],
)
def test_what_fits_twice_is_a_question(folder, masks, classes):
    facts = folder(*masks)
    with pytest.raises(AmbiguousMasks, match=r"--mask-values from-0: 0 = ") as error:
        find_rule(facts, classes)
    assert words(error) == ["from-0", "from-1"]
    for word, first in (("from-0", 1), ("from-1", 0)):
        assert find_rule(facts, classes, word).labels[0] == first


def test_one_file_never_decides_for_itself(folder):
    """A mask of 0 and 1 beside one of 0 to 2 is read as that one is."""
    facts = folder(mask(0, 1), mask(0, 1, 2))
    rule = find_rule(facts, TWO)
    assert set(labels(facts[0], rule).ravel()) == {0, 1}


def test_values_below_0_are_ignored(folder):
    facts = folder(mask(-1, 1, 2, dtype=np.int16), ending=".tif")
    assert find_rule(facts, TWO).labels[-1] == 0


def test_objects_are_a_question_where_they_could_be_classes(folder):
    cells = np.zeros(SHAPE, np.uint16)
    cells[2:4, 2:4], cells[6:8, 6:8] = 1, 2
    facts = folder(cells, ending=".tif")
    with pytest.raises(AmbiguousMasks) as error:
        find_rule(facts, TWO)
    assert words(error) == ["from-1", "objects"]
    found = labels(facts[0], find_rule(facts, TWO, "objects"))
    assert (found == 2).sum() == 8
    assert (found == 1).sum() == found.size - 8


def test_more_values_than_classes_name_every_mask(folder):
    with pytest.raises(
        MaskMismatch, match=r"(?s)0\.png .*: 3, 4\n.*1\.png .*: 9\n.*known: 0, 1, 2"
    ):
        find_rule(folder(mask(0, 1, 2, 3, 4), mask(0, 9)), TWO)


def test_a_rule_written_out(folder, tmp_path):
    facts = folder(mask(0, 4, 5, 6, 200, 255))
    rule = find_rule(facts, TWO, "0=background, 4..6 = Object, 200=ignore,other=ignore")
    assert np.bincount(labels(facts[0], rule).ravel()).tolist() == [180, 120, 300]
    rule = find_rule(facts, TWO, "0=background,other=object")
    assert np.bincount(labels(facts[0], rule).ravel()).tolist()[1:] == [120, 480]
    with pytest.raises(MaskMismatch, match=r"0\.png has values .* 200, 255"):
        find_rule(facts, TWO, "0=background,4..6=object")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0=sky", "names of your classes"),
        ("nonsense", "one of values, colours"),
        ("x=object", "a span"),
        ("5..1=object", "a span"),
        ("0=background,#ff0000=object", "mixes values and colours"),
        ("values", "give a classes.csv"),
    ],
)
def test_a_rule_that_makes_no_sense(folder, text, said):
    with pytest.raises(BadValue, match=said):
        find_rule(folder(mask(0, 1)), TWO, text)


def test_colours_written_out(folder):
    coloured = np.zeros((*SHAPE, 3), np.uint8)
    coloured[:5] = 255, 0, 16
    facts = folder(coloured)
    rule = find_rule(facts, TWO, "#000000=background,#ff0010=object")
    assert (labels(facts[0], rule) == 2).sum() == 150


# --- with a table ---------------------------------------------------------------------

ZERO = "0,sky,0,0,0\n1,car,0,0,0\n2,road,0,0,0\n"
PERMUTED = "0,sky,128,0,0\n1,car,0,0,0\n2,road,0,128,0\n"
MATCHING = "0,sky,0,0,0\n1,car,128,0,0\n2,road,0,128,0\n"
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0]


def test_a_palette_is_read_by_values_where_its_colours_tell_nothing(folder, tmp_path):
    facts = folder(mask(0, 1, 2), mask(0), palette=PALETTE)
    rule = find_rule(facts, table(tmp_path, ZERO))
    assert set(labels(facts[1], rule).ravel()) == {1}
    assert set(labels(facts[0], rule).ravel()) == {1, 2, 3}


def test_a_palette_whose_values_and_colours_differ_is_a_question(folder, tmp_path):
    facts = folder(mask(0, 1, 2), palette=PALETTE)
    with pytest.raises(AmbiguousMasks) as error:
        find_rule(facts, table(tmp_path, PERMUTED))
    assert words(error) == ["values", "colours"]
    by_colour = find_rule(facts, table(tmp_path, PERMUTED), "colours")
    assert labels(facts[0], by_colour)[0, 0] == 2


def test_a_palette_whose_values_and_colours_agree_is_no_question(folder, tmp_path):
    facts = folder(mask(0, 1, 2), palette=PALETTE)
    assert set(
        labels(facts[0], find_rule(facts, table(tmp_path, MATCHING))).ravel()
    ) == {1, 2, 3}


def test_grey_saved_as_colours_is_read_by_value(folder, tmp_path):
    facts = folder(np.dstack([mask(0, 1, 2)] * 3), np.dstack([mask(0)] * 3))
    rule = find_rule(facts, table(tmp_path, ZERO))
    assert rule.by == "value"


def test_a_colour_of_two_classes_is_refused(folder, tmp_path):
    coloured = np.zeros((*SHAPE, 3), np.uint8)
    coloured[:10], coloured[10:] = (0, 0, 255), (255, 0, 0)
    same = "0,water,0,0,255\n1,river,0,0,255\n2,road,255,0,0\n"
    with pytest.raises(MaskMismatch, match="#0000ff is the colour of more than one"):
        find_rule(folder(coloured, classes=3), table(tmp_path, same))


def test_black_and_white_by_the_colours_of_a_table(folder, tmp_path):
    text = "0,bg,0,0,0\n1,obj,255,255,255\n"
    for facts in (folder(mask(0, 255)), folder(mask(0, 1, dtype=bool))):
        found = labels(facts[0], find_rule(facts, table(tmp_path, text)))
        assert (found == 2).sum() == found.size // 2


def test_one_bit_is_0_and_255_where_a_table_says_so(folder, tmp_path):
    text = "0,bg,9,9,9\n255,obj,1,2,3\n"
    facts = folder(mask(0, 1, dtype=bool))
    assert set(labels(facts[0], find_rule(facts, table(tmp_path, text))).ravel()) == {
        1,
        2,
    }


def test_mixed_colours_name_the_mask_and_what_to_do(folder, tmp_path):
    coloured = np.zeros((*SHAPE, 3), np.uint8)
    coloured[:10], coloured[10] = (0, 0, 255), (90, 0, 128)
    two = table(tmp_path, "0,bg,0,0,255\n1,obj,0,0,0\n")
    facts = folder(coloured)
    with pytest.raises(MaskMismatch, match=r"0\.png .*#5a0080.*(\n).*--mask-values"):
        find_rule(facts, two)
    rule = find_rule(facts, two, "#0000ff=bg,#000000=obj,other=ignore")
    assert (labels(facts[0], rule) == 0).sum() == 30


def test_our_own_labels_are_known_by_their_mark(folder, tmp_path):
    """Labels that we wrote mean labels, whatever a table says of values."""
    text = PngInfo()
    text.add_text(MARK, MARKED_LABELS)
    facts = folder(mask(0, 1, 2), pnginfo=text)
    rule = find_rule(facts, table(tmp_path, "0,sky,1,1,1\n1,car,2,2,2\n"))
    assert (labels(facts[0], rule) == mask(0, 1, 2)).all()


# --- lossy masks ----------------------------------------------------------------------


def disc():
    y, x = np.mgrid[:120, :160]
    return (y - 60) ** 2 + (x - 80) ** 2 < 900


def test_a_lossy_mask_is_read_by_the_nearest_value(folder, tmp_path):
    facts = folder(disc().astype(np.uint8) * 255, ending=".jpg", quality=90)
    for classes in (TWO, table(tmp_path, "0,bg,0,0,0\n255,obj,255,255,255\n")):
        found = labels(facts[0], find_rule(facts, classes))
        assert ((found == 2) == disc()).all()


def test_a_lossy_mask_of_near_values_is_refused(folder, tmp_path):
    many = "".join(f"{v},c{v},{v * 7},{255 - v * 7},{v}\n" for v in range(34))
    array = np.where(disc(), 26, 7).astype(np.uint8)
    facts = folder(array, ending=".jpg", quality=75)
    for classes in (THREE, table(tmp_path, many)):
        with pytest.raises(MaskMismatch, match=r"0\.jpg: lossy .* save masks as PNG"):
            find_rule(facts, classes)


def test_what_a_table_does_not_name_is_ignored_by_convention(folder, tmp_path):
    voc = table(tmp_path, "0,bg,0,0,0\n1,plane,128,0,0\n2,bike,0,128,0\n")
    rule = find_rule(folder(mask(0, 1, 255), mask(0, 2)), voc)
    assert rule.labels == {0: 1, 1: 2, 2: 3, 255: 0}
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0, *[224] * 759]
    facts = folder(mask(0, 1, 255), palette=palette)
    assert find_rule(facts, voc, "values").labels[255] == 0
    facts = folder(mask(0, 1, -1, dtype=np.int16), ending=".tif")
    assert find_rule(facts, voc).labels[-1] == 0


def test_0_and_255_are_no_class_and_nothing_for_a_table_of_0_and_1(folder, tmp_path):
    two = table(tmp_path, "0,bg,9,9,9\n1,obj,1,2,3\n")
    with pytest.raises(MaskMismatch, match="no class: 255"):
        find_rule(folder(mask(0, 255)), two)


def test_masks_of_real_numbers_are_named(folder):
    facts = folder(mask(0.5, 1, dtype=np.float32), ending=".tif")
    with pytest.raises(MaskMismatch, match=r"0\.tif holds no values of classes"):
        find_rule(facts, TWO)


def test_values_that_may_be_objects_are_told_so(folder):
    with pytest.raises(MaskMismatch, match="'objects' if each value is one object"):
        find_rule(folder(mask(0, 1, 2, 3, 4)), TWO)
    with pytest.raises(MaskMismatch, match=r"other=ignore'$"):
        find_rule(folder(mask(0, 1, 2, 3, 4)), THREE)


def test_one_bit_of_which_0_is_white_is_a_question(folder):
    """Tifffile says that 0 is white of every mask of one bit; its user does not."""
    facts = folder(mask(0, 1, dtype=bool), ending=".tif")
    with pytest.raises(AmbiguousMasks) as error:
        find_rule(facts, TWO)
    assert words(error) == ["two-values", "0=object,1=background"]
    meant = find_rule(facts, TWO, words(error)[1])
    np.testing.assert_array_equal(labels(facts[0], meant), mask(1, 2))
    said = find_rule(facts, TWO, "two-values")
    np.testing.assert_array_equal(labels(facts[0], said), mask(2, 1))


def test_0_is_white_in_all_masks_or_in_none(folder):
    bits = mask(0, 1, dtype=bool)
    facts = [*folder(bits, ending=".tif"), *folder(bits)]
    with pytest.raises(MaskMismatch, match=r"0\.tif: 0 is white there"):
        find_rule(facts, TWO)


def test_a_class_may_be_called_void(folder):
    facts = folder(mask(0, 1))
    rule = find_rule(facts, names("void", "cell"), "0=void,1=cell")
    assert rule.labels == {0: 1, 1: 2}


def test_a_choice_of_nothing_is_refused(folder):
    with pytest.raises(BadValue, match="names no class"):
        find_rule(folder(mask(0, 1)), TWO, ",")


# --- out and in again -----------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        {0: 1, 1: 2, 2: 3},
        {0: 1, 1: 2, 2: 3, 255: 0},
        {0: 0, 1: 1, 2: 2, 3: 3},
        {7: 1, 9: 1, 0: 2, 26: 3, -1: 0},
        {0: 1, 255: 2},
        {0: 1, 65535: 2},
    ],
)
@pytest.mark.parametrize("with_table", [True, False])
def test_labels_that_go_out_by_a_rule_come_in_again(tmp_path, rule, with_table):
    """Whatever the rule, with a table or with names alone, each label is itself."""
    from napari_alseg.store import MaskRule
    from napari_alseg.ui.contributions import write_mask

    known = ["sky", "car", "road"]
    values = MaskRule("value", rule).values_of_labels(3)
    path = str(tmp_path / "out.png")
    metadata = {"napari_alseg": {"values": values, "classes": known}}
    label_map = mask(0, 1, 2, 3)
    write_mask(path, label_map, {"name": "x", "metadata": metadata})
    again = names(*known)
    if with_table:
        again = table(tmp_path, "4,sky,1,2,3\n5,car,4,5,6\n6,road,7,8,9\n")
    facts = facts_of(inspect(path), 3)
    assert (labels(facts, find_rule([facts], again)) == label_map).all()
    written = np.asarray(pillow.open(path))
    for label, value in values.items():
        assert (written[label_map == label] == value).all()
