"""Real images of the optional data folder; skipped where it is absent."""

import pytest

from napari_alseg.store import paired, read_classes, read_image, read_mask

FOLDERS = {
    "camvid": "train",
    "wbc": "dataset1",
    "dsb2018": "",
    "vnc_em": "",
    "carla_toy": "",
}


@pytest.mark.data
@pytest.mark.parametrize("name", FOLDERS)
def test_images_and_masks_of_real_sets_are_read(real_data, name):
    table = read_classes(real_data / name / "classes.csv")
    image, mask = next(iter(paired(real_data / name / FOLDERS[name])))
    pixels, labels = read_image(image), read_mask(mask, table)
    assert pixels.shape[:2] == labels.shape
    assert pixels.shape[2] in (1, 3)
    assert 0 < labels.max() <= len(table.classes)
