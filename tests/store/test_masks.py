"""What masks hold, and labels by a rule; files are drawn here, rules are known."""

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as pillow
from PIL.PngImagePlugin import PngInfo

from napari_alseg.errors import MaskMismatch
from napari_alseg.store import MARK, MARKED_LABELS, MaskRule, apply_rule, inspect
from napari_alseg.store.masks import facts_of

VALUES = np.array([[3, 7], [255, 3]], np.uint8)
COLOURS = np.array(
    [[[10, 20, 30], [200, 0, 0]], [[0, 0, 0], [10, 20, 30]]], dtype=np.uint8
)
EXPECTED = [[1, 2], [0, 1]]
BY_VALUE = MaskRule("value", {3: 1, 7: 2, 255: 0})
BY_COLOUR = MaskRule("colour", {(10, 20, 30): 1, (200, 0, 0): 2, (0, 0, 0): 0})


def labels(path, rule):
    found = apply_rule(inspect(path), rule)
    assert found.dtype == np.uint8
    return found.tolist()


@pytest.fixture
def saved(tmp_path):
    """Save an array under a name; return the path."""

    def save(name, array, palette=None, **more):
        path = tmp_path / name
        if name.endswith("tif"):
            tifffile.imwrite(path, array, **more)
            return path
        picture = pillow.fromarray(array, "P" if palette else None)
        if palette:
            picture.putpalette(palette)
        picture.save(path, **more)
        return path

    return save


def test_values_are_the_same_in_every_kind_of_file(saved):
    wide = VALUES.astype(np.uint16)
    paths = [
        saved("a.png", VALUES),
        saved("b.tif", wide),
        saved("c.png", np.dstack([VALUES] * 3)),
        saved("d.tif", VALUES.astype(np.float32)),
        saved("e.png", np.dstack([VALUES, VALUES * 0, VALUES * 0])),
        saved("f.tif", VALUES.astype(np.int64)),
        saved("g.png", wide),
        saved("h.tif", np.dstack([wide] * 3), photometric="rgb"),
        saved("i.png", VALUES, palette=[n % 256 for n in range(768)]),
        saved("j.bmp", VALUES),
    ]
    for path in paths:
        assert labels(path, BY_VALUE) == EXPECTED, path


def test_colours_are_the_same_in_every_kind_of_file(saved):
    index = np.array([[0, 1], [2, 0]], np.uint8)
    table = [10, 20, 30, 200, 0, 0, 0, 0, 0]
    wide = COLOURS.astype(np.uint16) * 257
    colourmap = np.zeros((3, 256), np.uint16)
    colourmap[:, :3] = np.array(table).reshape(3, 3).T * 257
    paths = [
        saved("a.png", COLOURS),
        saved("b.tif", COLOURS, photometric="rgb"),
        saved("c.png", index, palette=table),
        saved("d.tif", wide, photometric="rgb"),
        saved("e.tif", index, photometric="palette", colormap=colourmap),
        saved("f.gif", index, palette=table),
    ]
    for path in paths:
        assert labels(path, BY_COLOUR) == EXPECTED, path


def test_what_is_transparent_or_no_number_is_unlabelled(saved):
    alpha = np.array([[255, 255], [255, 0]], np.uint8)
    gaps = VALUES.astype(np.float32)
    gaps[1, 1] = np.nan
    hidden = [[1, 2], [0, 0]]
    assert labels(saved("a.png", np.dstack([COLOURS, alpha])), BY_COLOUR) == hidden
    assert labels(saved("b.tif", gaps), BY_VALUE) == hidden
    facts = facts_of(inspect(saved("c.png", np.dstack([COLOURS, alpha]))), 2)
    assert facts.transparent == 1
    assert sum(facts.pixels.values()) == 3


def test_hidden_colours_need_no_class(saved):
    strange = COLOURS.copy()
    strange[1, 1] = 1, 2, 3
    alpha = np.array([[255, 255], [255, 0]], np.uint8)
    path = saved("a.png", np.dstack([strange, alpha]))
    assert labels(path, BY_COLOUR) == [[1, 2], [0, 0]]


def test_nodata_of_a_geotiff_is_unlabelled(saved):
    path = saved("a.tif", VALUES, extratags=[(42113, "s", 2, "7", True)])
    assert labels(path, BY_VALUE) == [[1, 0], [0, 1]]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_one_bit_is_0_and_1(saved, name):
    more = {"photometric": "minisblack"} if name == "a.tif" else {}
    path = saved(name, VALUES == 7, **more)
    assert labels(path, MaskRule("value", {0: 1, 1: 2})) == [[1, 2], [1, 1]]


def test_a_channel_a_class(saved):
    channels = np.zeros((3, 4, 5), np.uint8)
    channels[0], channels[0, 1], channels[2, 1] = 1, 0, 1
    path = saved("a.tif", channels, photometric="rgb", planarconfig="separate")
    found = labels(path, MaskRule("channel", {0: 1, 1: 2, 2: 3}))
    assert found == [[1] * 5, [3] * 5, [1] * 5, [1] * 5]


def test_what_a_rule_does_not_know_is_named(saved):
    rule = MaskRule("value", {3: 1, 7: 2})
    with pytest.raises(MaskMismatch, match=r"a\.png has the value 255 .* known: 3, 7"):
        labels(saved("a.png", VALUES), rule)
    with pytest.raises(MaskMismatch, match=r"b\.png has the colour #000000"):
        labels(saved("b.png", COLOURS), MaskRule("colour", {(200, 0, 0): 1}))
    with pytest.raises(MaskMismatch, match=r"c\.png cannot be read by value"):
        labels(saved("c.png", COLOURS), BY_VALUE)


def test_all_else_may_be_a_class_or_nothing(saved):
    path = saved("a.png", VALUES)
    assert labels(path, MaskRule("value", {3: 1}, other=2)) == [[1, 2], [2, 1]]
    assert labels(path, MaskRule("value", {3: 1}, other=0)) == [[1, 0], [0, 1]]


def test_our_own_mark_is_seen(saved):
    text = PngInfo()
    text.add_text(MARK, MARKED_LABELS)
    assert facts_of(inspect(saved("a.png", VALUES, pnginfo=text)), 2).mark == "labels"
    assert not facts_of(inspect(saved("b.png", VALUES)), 2).mark


keys = st.one_of(
    st.dictionaries(st.integers(-300, 70000), st.integers(0, 9), min_size=1),
    st.dictionaries(
        st.tuples(*[st.integers(0, 255)] * 3), st.integers(0, 9), min_size=1
    ),
)


@given(keys, st.none() | st.integers(0, 9), st.booleans())
def test_a_rule_is_kept_as_json(labels, other, nearest):
    by = "colour" if isinstance(next(iter(labels)), tuple) else "value"
    rule = MaskRule(by, labels, other, nearest)
    assert MaskRule.from_json(rule.to_json()) == rule


@given(st.dictionaries(st.integers(0, 300), st.integers(0, 9), min_size=1))
def test_what_is_written_by_a_rule_is_read_back_by_it(labels):
    written = MaskRule("value", labels).values_of_labels(9)
    assert list(written) == list(range(10))
    assert len(set(written.values())) == 10
    for label, value in written.items():
        assert labels.get(value, label) == label
