import numpy as np
import pytest
import tifffile
from creating_by_hand import TABLE, left_behind, save

from napari_alseg.arrays import finish
from napari_alseg.errors import (
    AmbiguousMasks,
    BadFiles,
    BadValue,
    EmptyFolder,
    MaskMismatch,
    UnreadableImage,
)
from napari_alseg.settings import ImportSettings
from napari_alseg.store import (
    OpenImage,
    Project,
    create_from_arrays,
    create_from_folder,
    plan_folders,
    read_classes,
    try_entries,
)


def steps_of(task):
    """Run a task to its end; return what it gives and its steps."""
    steps = []
    while True:
        try:
            steps.append(next(task))
        except StopIteration as stop:
            return stop.value, steps


def report_of(*arguments, **more):
    return str(finish(plan_folders(*arguments, **more)).report)


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
    made, steps = steps_of(task)
    assert made == path
    adding = [(s.done, s.total) for s in steps if s.message == "adding images"]
    assert adding == [(n, 6) for n in range(1, 7)]
    with Project.open(path) as project:
        assert project.images.names() == ("day1", "day2")
        assert project.images.names("validation") == ("held1", "held2")
        assert project.images.names("source") == ("drawn1", "drawn2")
        assert project.images.info("drawn1").shape == (5, 3)
        assert set(project.labels.read("drawn2").ravel()) == {2}
        assert project.labels.labelled() == ("day1", "day2")
        assert project.rounds.cost().pixels == 0
    assert left_behind(path) == [path.name]


def test_the_rule_of_the_masks_is_kept(path, labelled):
    pool = labelled("day", 1)
    save(pool / "masks" / "day2.png", np.array([[0, 1]] * 4, np.uint8).repeat(3, 1))
    from_0 = ImportSettings("from-0")
    making = create_from_folder(
        path, pool / "images", TABLE, labels=pool / "masks", settings=from_0
    )
    finish(making)
    with Project.open(path) as project:
        assert project.mask_rule.labels == {0: 1, 1: 2}
        assert set(project.labels.read("day1").ravel()) == {2}
        assert set(project.labels.read("day2").ravel()) == {1, 2}


def test_validation_masks_speak_for_those_of_the_pool(path, labelled):
    """One rule for a project: 2 in one folder says what 1 means in the other."""
    pool, held = labelled("day", 1), labelled("held", 2)
    making = create_from_folder(
        path, pool / "images", TABLE, labels=pool / "masks", validation=held
    )
    with Project.open(finish(making)) as project:
        assert set(project.labels.read("day1").ravel()) == {1}


@pytest.mark.parametrize("split", ["validation", "source"])
def test_a_split_needs_images_and_their_masks(path, labelled, split):
    pool, other = labelled("day", 1), labelled("other", 1)
    (other / "masks" / "other2.png").unlink()
    with pytest.raises(MaskMismatch, match=r"other2\.png has no mask"):
        finish(create_from_folder(path, pool / "images", TABLE, **{split: other}))
    with pytest.raises(EmptyFolder, match=f"no folder 'images'; {split} needs"):
        bare = {split: other / "images"}
        finish(create_from_folder(path, pool / "images", TABLE, **bare))
    assert left_behind(path) == []


def test_all_bad_files_are_named_at_once_and_nothing_is_left(path, labelled):
    pool = labelled("day", 1)
    save(pool / "masks" / "day2.png", np.ones((9, 9), np.uint8))
    (pool / "images" / "broken.png").write_bytes(b"no picture")
    (pool / "images" / "empty.tif").touch()
    making = create_from_folder(path, pool / "images", TABLE, labels=pool / "masks")
    with pytest.raises(
        BadFiles, match=r"(?s)^3 files .*broken.*day2.*9 x 9 pixels.*empty"
    ):
        finish(making)
    assert left_behind(path) == []


def test_values_that_are_no_class_are_named_with_the_bad_files(path, labelled):
    folder = labelled("day", 9)
    (folder / "images" / "day1.png").write_bytes(b"")
    with pytest.raises(BadFiles, match=r"(?s)day1\.png is empty.*day2\.png has values"):
        finish(
            create_from_folder(path, folder / "images", TABLE, labels=folder / "masks")
        )
    assert left_behind(path) == []


def test_masks_that_cannot_be_paired_are_named_with_bad_images(path, labelled):
    pool = labelled("day", 1)
    (pool / "images" / "broken.png").write_bytes(b"no picture")
    tifffile.imwrite(pool / "masks" / "day1.tif", np.ones((4, 6), np.uint8))
    making = create_from_folder(path, pool / "images", TABLE, labels=pool / "masks")
    with pytest.raises(BadFiles, match=r"(?s)day1\.png and .*day1\.tif.*broken\.png"):
        finish(making)
    assert left_behind(path) == []


def test_files_that_break_while_they_are_read_are_named_at_once(path, labelled, rng):
    pool = labelled("day", 1)
    noise = rng.integers(0, 255, (64, 64), np.uint8)
    for name in ("bad1.tif", "bad2.tif"):
        tifffile.imwrite(pool / "images" / name, noise, compression="zlib")
        content = bytearray((pool / "images" / name).read_bytes())
        content[-600:-500] = bytes(100)  # the end of the only strip
        (pool / "images" / name).write_bytes(content)
    with pytest.raises(BadFiles, match=r"(?s)bad1\.tif.*bad2\.tif"):
        finish(create_from_folder(path, pool / "images", TABLE))
    plan = finish(plan_folders(TABLE, pool / "images"))
    with pytest.raises(BadFiles, match=r"(?s)bad1\.tif.*bad2\.tif"):
        finish(try_entries(plan))
    assert left_behind(path) == []


def test_an_image_without_a_finite_pixel_is_named(path, tmp_path):
    save(tmp_path / "images" / "gaps.tif", np.full((4, 5), np.nan, np.float32))
    with pytest.raises(UnreadableImage, match=r"gaps\.tif has no finite pixel"):
        finish(create_from_folder(path, tmp_path / "images", TABLE))
    assert left_behind(path) == []


def test_what_is_ambiguous_leaves_nothing(path, labelled):
    pool = labelled("day", 0)
    with pytest.raises(AmbiguousMasks, match="--mask-values"):
        finish(create_from_folder(path, pool / "images", TABLE, labels=pool / "masks"))
    assert left_behind(path) == []


# --- the report -----------------------------------------------------------------------


def test_the_report_says_what_was_found(labelled, tmp_path):
    pool, held = labelled("day", 1), labelled("held", 2)
    save(pool / "images" / "wide.tif", np.zeros((5, 7), np.uint16))
    save(pool / "masks" / "old.png", np.ones((2, 2), np.uint8))
    (pool / "images" / "notes.txt").touch()
    (pool / "images" / "Thumbs.db").touch()
    (pool / "images" / "more").mkdir()
    said = report_of(TABLE, pool / "images", pool / "masks", held)
    for line in (
        "3 images, 2 with a mask, 1 without",
        "uint8 (2), uint16 (1); colour (2), grey (1); 4 x 6, 5 x 7",
        "2 validation images, 2 with a mask, 0 without",
        "masks: 0 = unlabelled, 1 = sky, 2 = road",
        "pixels in masks: unlabelled 0 (0.0%), sky 48 (50.0%), road 48 (50.0%)",
        "intensities: each image by itself",
        "1 file ending in .txt is passed over",
        "1 subfolder is not looked into (more)",
        "1 mask without an image: old.png",
    ):
        assert line in said
    assert "Thumbs" not in said


def test_what_is_said_of_many_files_is_said_once(tmp_path):
    for number in range(40):
        white = np.full((4, 6), number, np.uint8)
        path = tmp_path / "scans" / f"{number}.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, white, photometric="miniswhite")
    said = report_of(TABLE, tmp_path / "scans")
    assert said.count("0 is white") == 1
    assert "note: 0.tif and 39 more: " in said


def test_planning_writes_nothing(labelled, tmp_path):
    pool = labelled("day", 1)
    before = sorted(tmp_path.rglob("*"))
    report_of(TABLE, pool / "images", pool / "masks")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_file_in_pool_and_validation_is_refused(labelled):
    pool = labelled("day", 1)
    with pytest.raises(BadValue, match=r"day1\.png.*day2\.png are in the pool and in"):
        report_of(TABLE, pool / "images", validation=pool)


def test_a_copy_in_validation_is_told(labelled):
    pool, held = labelled("day", 1), labelled("held", 1)
    content = (pool / "images" / "day1.png").read_bytes()
    (held / "images" / "held2.png").write_bytes(content)
    said = report_of(TABLE, pool / "images", validation=held)
    assert "1 image of the pool is a copy of validation images (day1.png" in said


def test_masks_among_the_images_are_a_question(path, tmp_path):
    save(tmp_path / "both" / "a.png", np.zeros((4, 6, 3), np.uint8))
    save(tmp_path / "both" / "a_mask.png", np.full((4, 6), 2, np.uint8))
    with pytest.raises(MaskMismatch, match=r"a_mask\.png of a\.png"):
        report_of(TABLE, tmp_path / "both")
    both = tmp_path / "both"
    with Project.open(
        finish(create_from_folder(path, both, TABLE, labels=both))
    ) as project:
        assert project.images.names() == ("a",)
        assert set(project.labels.read("a").ravel()) == {2}


# --- planes, channels, intensities ----------------------------------------------------


def test_planes_become_images_of_one_group(path, tmp_path):
    stack = np.arange(3 * 4 * 6, dtype=np.uint8).reshape(3, 4, 6)
    masks = np.full((3, 4, 6), 2, np.uint8)
    for folder, array in (("images", stack), ("masks", masks)):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(
            tmp_path / folder / "a.tif", array, imagej=True, metadata={"axes": "ZYX"}
        )
    making = create_from_folder(
        path, tmp_path / "images", TABLE, labels=tmp_path / "masks"
    )
    with Project.open(finish(making)) as project:
        names = project.images.names()
        assert len(names) == 3
        assert all(name.startswith("a-z") for name in names)
        for name, plane in zip(names, stack, strict=True):
            np.testing.assert_array_equal(
                project.images.read_original(name)[..., 0], plane
            )
            assert set(project.labels.read(name).ravel()) == {2}


def test_all_channels_are_stored_and_a_network_sees_the_chosen(path, tmp_path):
    five = np.arange(5 * 4 * 6, dtype=np.uint8).reshape(5, 4, 6)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(
        tmp_path / "images" / "a.tif", five, imagej=True, metadata={"axes": "CYX"}
    )
    chosen = ImportSettings(network_channels="5,1")
    making = create_from_folder(path, tmp_path / "images", TABLE, settings=chosen)
    with Project.open(finish(making)) as project:
        np.testing.assert_array_equal(
            project.images.read_original("a"), np.moveaxis(five, 0, -1)
        )
        seen = project.images.read("a")
        np.testing.assert_array_equal(seen[..., 0], five[4])
        np.testing.assert_array_equal(seen[..., 1], five[0])
        assert not seen[..., 2].any()
        assert not project.images.info("a").colour


def test_the_pool_can_share_a_window(path, tmp_path, rng):
    """An empty frame of a time-lapse stays dark beside one with cells."""
    empty = rng.normal(100, 3, (60, 80)).astype(np.uint16)
    cells = empty.copy()
    cells[20:40, 20:40] = 4000
    for name, frame in (("t1.tif", cells), ("t2.tif", empty)):
        save(tmp_path / "images" / name, frame)
    for intensities, brightest in (("each", 255), ("shared", 1), ("0..8000", 4)):
        other = path.with_name(f"{intensities[0]}.alseg")
        settings = ImportSettings(intensities=intensities)
        making = create_from_folder(
            other, tmp_path / "images", TABLE, settings=settings
        )
        with Project.open(finish(making)) as project:
            assert project.images.read("t2").max() == pytest.approx(brightest, abs=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (ImportSettings(intensities="bright"), "LOW..HIGH"),
        (ImportSettings(intensities="0..1,0..2"), "2 windows, an image has 3"),
        (ImportSettings(network_channels="0,1"), "from 1"),
        (ImportSettings(network_channels="1,2,3,4"), "one to three"),
    ],
)
def test_settings_that_make_no_sense(labelled, settings, said):
    with pytest.raises(BadValue, match=said):
        report_of(TABLE, labelled("day", 1) / "images", settings=settings)


# --- open images ----------------------------------------------------------------------


def test_open_images_take_source_images_beside_them(path, labelled):
    arrays = {"open": np.zeros((4, 5, 4), np.uint8)}
    finish(create_from_arrays(path, arrays, TABLE, source=labelled("drawn", 1)))
    with Project.open(path) as project:
        assert len(project.images.info("open").channels) == 3
        assert project.images.names("source") == ("drawn1", "drawn2")


def test_planes_of_open_images_are_read_when_they_are_needed(path):
    read = []

    def plane(number):
        read.append(number)
        return np.full((4, 5, 1), number, np.uint8)

    stack = OpenImage(("t1", "t2"), (4, 5), ("grey",), False, "uint8", plane)
    making = create_from_arrays(path, {"film": stack}, TABLE)
    next(making)
    assert len(read) <= 1
    finish(making)
    with Project.open(path) as project:
        assert project.images.names() == ("film-t1", "film-t2")


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("int64", "float32"),
        ("float64", "float32"),
        ("float16", "float32"),
        ("int8", "int16"),
        ("bool", "uint8"),
        (">u2", "uint16"),
    ],
)
def test_numbers_of_open_images_become_those_that_are_kept(path, dtype, kept):
    ramp = (np.arange(20).reshape(4, 5) % 2).astype(dtype)
    finish(create_from_arrays(path, {"a": ramp}, TABLE))
    with Project.open(path) as project:
        assert project.images.info("a").dtype == kept
        high = 255 if dtype == "bool" else 1
        assert project.images.read_original("a").max() == high


def test_what_is_no_image_is_refused(path):
    with pytest.raises(BadValue, match="no image layer is open"):
        finish(create_from_arrays(path, {}, TABLE))
    with pytest.raises(BadValue, match=r"\(2, 3, 4, 5\); one plane"):
        finish(create_from_arrays(path, {"stack": np.zeros((2, 3, 4, 5))}, TABLE))
    with pytest.raises(UnreadableImage, match="complex64"):
        finish(create_from_arrays(path, {"a": np.zeros((4, 5), np.complex64)}, TABLE))
    assert left_behind(path) == []


def test_a_source_with_other_classes_is_refused(path, labelled):
    pool, drawn = labelled("day", 1), labelled("drawn", 1)
    (drawn / "classes.csv").write_text("value,name\n1,tree\n2,road\n")
    from napari_alseg.errors import BadClasses

    with pytest.raises(BadClasses, match="other classes"):
        finish(create_from_folder(path, pool / "images", TABLE, source=drawn))
    (drawn / "classes.csv").write_text("value,name\n7,sky\n1,road\n")
    finish(create_from_folder(path, pool / "images", TABLE, source=drawn))
    assert read_classes(drawn / "classes.csv").labels_of_values == {7: 1, 1: 2}
    with Project.open(path) as project:
        assert set(project.labels.read("drawn1").ravel()) == {2}
        assert project.mask_rule is None  # none came into the pool
