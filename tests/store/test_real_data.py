"""Real images of the optional data folder; skipped where it is absent."""

import pytest

from napari_alseg.arrays import finish
from napari_alseg.store import (
    Project,
    create_from_folder,
    paired,
    read_classes,
    read_image,
)

FOLDERS = {
    "camvid": "train",
    "wbc": "dataset1",
    "dsb2018": "",
    "vnc_em": "",
    "carla_toy": "",
}


@pytest.mark.data
@pytest.mark.parametrize("name", FOLDERS)
def test_images_and_masks_of_real_sets_are_read(real_data, tmp_path, name):
    table = read_classes(real_data / name / "classes.csv")
    image, mask = next(iter(paired(real_data / name / FOLDERS[name])))
    made = create_from_folder(tmp_path / "x.alseg", image, table, labels=mask)
    with Project.open(finish(made), "read") as project:
        (only,) = project.images.names()
        labels = project.labels.read(only)
    assert read_image(image).shape[:2] == labels.shape
    assert 0 < labels.max() <= len(table.classes)
