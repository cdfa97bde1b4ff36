import unicodedata
from pathlib import Path

import pytest

from napari_alseg.errors import MaskMismatch
from napari_alseg.store import pair
from napari_alseg.store.importing.pairing import masks_among


def paired(images, masks, suffix=""):
    found = pair([Path(i) for i in images], [Path(m) for m in masks], suffix)
    return {image.name: mask.name for image, mask in found.masks.items()}, found


def test_plain_names():
    pairs, found = paired(["a.ome.tif", "b.png", "d.jpg"], ["b.png", "a.png", "c.png"])
    assert pairs == {"a.ome.tif": "a.png", "b.png": "b.png"}
    assert found.left == (Path("c.png"),)
    assert found.affixes == {"*": 2}


@pytest.mark.parametrize(
    ("image", "mask", "told"),
    [
        ("im{}.png", "im{}_mask.png", "*_mask"),
        ("im{}.png", "mask_im{}.png", "mask_*"),
        ("im{}.png", "im{}_gtFine_labelIds.png", "*_gtFine_labelIds"),
        ("aachen_{}_leftImg8bit.png", "aachen_{}_gtFine_labelIds.png", None),
        ("img_{}.jpg", "mask_{}.png", "mask_*"),
        ("scan.{}.tif", "scan.{}.labels.tif", "*.labels"),
        ("im{}.png", "im{} mask.png", "* mask"),
        ("im{}.png", "im{}-seg.png", "*-seg"),
    ],
)
def test_what_names_share_is_found(image, mask, told):
    images = [image.format(n) for n in range(12)]
    masks = [mask.format(n) for n in range(12)]
    pairs, found = paired(images, masks)
    assert pairs == dict(zip(images, masks, strict=True))
    assert sum(found.affixes.values()) == 12
    assert told is None or told in found.affixes


def test_one_plain_name_among_many_with_an_ending():
    images = [f"im{n}.png" for n in range(5)]
    masks = ["im0.png", *(f"im{n}_mask.png" for n in range(1, 5))]
    pairs, found = paired(images, masks)
    assert len(pairs) == 5
    assert found.affixes == {"*": 1, "*_mask": 4}


def test_unicode_forms_are_one():
    name = "Zürich"
    pairs, _ = paired(
        [unicodedata.normalize("NFD", name) + ".png"],
        [unicodedata.normalize("NFC", name) + ".png"],
    )
    assert len(pairs) == 1


def test_several_endings_are_a_question():
    images = [f"im{n}.png" for n in range(3)]
    masks = [f"im{n}_gtFine_{k}.png" for n in range(3) for k in ("color", "labelIds")]
    with pytest.raises(MaskMismatch, match=r"\*_gtFine_color, \*_gtFine_labelIds"):
        paired(images, masks)
    pairs, _ = paired(images, masks, "_gtFine_labelIds")
    assert pairs == {f"im{n}.png": f"im{n}_gtFine_labelIds.png" for n in range(3)}


def test_files_that_fit_twice_are_named_all_at_once():
    with pytest.raises(MaskMismatch, match=r"(?s)a\.png and a\.tif .*b\.png and b\.t"):
        paired(["a.jpg", "b.jpg"], ["a.png", "a.tif", "b.png", "b.tif"])
    with pytest.raises(MaskMismatch, match=r"m/s\.png could be .* s\.png and s\.jpg"):
        paired(["s.png", "s.jpg"], ["m/s.png"])


def test_nothing_in_common_is_no_pair():
    pairs, found = paired(["x.png"], ["y.png"])
    assert pairs == {}
    assert found.left == (Path("y.png"),)


@pytest.mark.parametrize(
    ("images", "masks", "expected"),
    [
        (["frame_1", "frame_2"], ["frame_1", "frame_3"], 1),
        (["frame_1", "frame_2", "frame_3"], ["frame_1", "frame_4"], 1),
        (["frame_1"], ["frame_2"], 0),
        (["tile_A", "tile_B"], ["tile_A", "tile_C"], 1),
        (["1_a", "2_a"], ["1_a", "3_a"], 1),
        (["s1_1", "s1_2", "s2_1", "s2_2"], ["s1_1", "s1_3", "s2_1", "s2_3"], 2),
        (["frame_1", "frame_2"], ["frame_1_mask", "frame_3_mask"], 1),
    ],
)
def test_the_mask_of_another_image_is_left(images, masks, expected):
    pairs, found = paired(images, masks)
    assert len(pairs) == expected
    assert len(found.left) == len(masks) - expected
    for image, mask in pairs.items():
        assert mask.startswith(image)


def test_what_a_single_mask_has_more_is_found():
    city = "aachen_000000_000019"
    image, mask = f"{city}_leftImg8bit.png", f"{city}_gtFine_labelIds.png"
    assert paired([image], [mask])[0] == {image: mask}
    assert paired(["a.png", "b.png"], ["a_drawn.png"])[0] == {"a.png": "a_drawn.png"}
    assert paired(["case_1_0000", "case_2_0000"], ["case_1", "case_2"])[1].left == ()
    assert len(paired(["a", "b"], ["a_2", "b_2"], "_2")[0]) == 2


def test_masks_among_images():
    files = [
        Path(n) for n in ("a.jpg", "a_mask.png", "b.jpg", "b-GT.tif", "c_mask.png")
    ]
    found = {m.name: i.name for m, i in masks_among(files).items()}
    assert found == {"a_mask.png": "a.jpg", "b-GT.tif": "b.jpg"}
