import numpy as np
import pytest
from PIL import Image

from napari_alseg.errors import BadValue, EmptyFolder, MaskMismatch
from napari_alseg.store import (
    ClassTable,
    Project,
    create_from_arrays,
    create_from_folder,
    default_classes,
)

TABLE = ClassTable.of(default_classes(["sky", "road"]))


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def labelled(tmp_path):
    """Make a folder of two images with masks of one label each."""

    def make(name, label, size=(4, 6)):
        for number in (1, 2):
            file = f"{name}{number}.png"
            image = np.full((*size, 3), 50 * number, np.uint8)
            save(tmp_path / name / "images" / file, image)
            mask = np.full(size, label, np.uint8)
            save(tmp_path / name / "masks" / file, mask)
        return tmp_path / name

    return make


def finish(task):
    """Run a task to its end."""
    steps = []
    while True:
        try:
            steps.append(next(task))
        except StopIteration as stop:
            return stop.value, steps


def test_every_folder_becomes_its_split(path, labelled):
    pool, validation = labelled("day", 1), labelled("held", 2)
    source = labelled("drawn", 2, size=(5, 3))
    task = create_from_folder(
        path,
        pool / "images",
        TABLE,
        labels=pool / "masks",
        validation=validation,
        source=source,
    )
    made, steps = finish(task)
    assert made == path
    assert [(step.done, step.total) for step in steps] == [(n, 6) for n in range(1, 7)]
    with Project.open(path) as project:
        assert project.images() == ("day1", "day2")
        assert project.images("validation") == ("held1", "held2")
        assert project.images("source") == ("drawn1", "drawn2")
        assert project.info("drawn1").shape == (5, 3)
        assert set(project.read_labels("drawn2").ravel()) == {2}
        assert project.labelled() == ("day1", "day2")
        assert project.cost().pixels == 0


def test_open_images_take_source_images_beside_them(path, labelled):
    arrays = {"open": np.zeros((4, 5, 4), np.uint8)}
    finish(create_from_arrays(path, arrays, TABLE, source=labelled("drawn", 1)))
    with Project.open(path) as project:
        assert project.info("open").channels == 3
        assert project.images("source") == ("drawn1", "drawn2")


@pytest.mark.parametrize("split", ["validation", "source"])
def test_a_split_needs_images_and_their_masks(path, labelled, split):
    pool, other = labelled("day", 1), labelled("other", 1)
    (other / "masks" / "other2.png").unlink()
    with pytest.raises(MaskMismatch, match=r"other2\.png has no mask"):
        finish(create_from_folder(path, pool / "images", TABLE, **{split: other}))
    with pytest.raises(EmptyFolder, match=f"no folder 'images'; {split} needs"):
        bare = {split: other / "images"}
        finish(create_from_folder(path, pool / "images", TABLE, **bare))
    assert not path.exists()


def test_a_mask_of_another_size_leaves_nothing(path, labelled):
    pool = labelled("day", 1)
    save(pool / "masks" / "day2.png", np.ones((9, 9), np.uint8))
    task = create_from_folder(path, pool / "images", TABLE, labels=pool / "masks")
    with pytest.raises(MaskMismatch, match=r"day2.*\(9, 9\).*\(4, 6\)"):
        finish(task)
    assert not path.exists()


def test_no_array_is_no_project(path):
    with pytest.raises(BadValue, match="no image layer is open"):
        finish(create_from_arrays(path, {}, TABLE))
    with pytest.raises(BadValue, match=r"\(2, 3, 4, 5\); one plane"):
        finish(create_from_arrays(path, {"stack": np.zeros((2, 3, 4, 5))}, TABLE))
