"""What was published."""

from napari_alseg.report import published


def test_every_published_number_is_one_and_has_a_source():
    for result in published.RESULTS:
        assert result.source
        assert result.systems
        assert all(10 < point.miou < 100 for point in result.points)
        assert result.full is None or result.full > result.points[0].miou


def test_published_numbers_belong_to_systems_that_exist():
    from napari_alseg.systems import PARTITIONS
    from napari_alseg.systems.table import SYSTEMS

    for result in published.RESULTS:
        assert set(result.systems) <= set(SYSTEMS)
        assert result.partition in ("", *PARTITIONS)


def test_notes_tell_what_makes_published_numbers_another_thing():
    for result in published.RESULTS:
        told = "full as another work" in result.note
        assert told == (result.source == published.RIPU and result.full is not None)
        assert ("105 px" in result.note) == (result.systems == ("ripu-pa",))
        assert ("mIoU is too high" in result.note) == (result.systems == ("equal",))
        assert ("not confirmed" in result.note) == ("2675 images to" in result.split)


def test_published_curves_that_have_a_full_end_below_it():
    for result in published.RESULTS:
        assert result.full is None or result.points[-1].miou < result.full
    streets = [each.dataset for each in published.of("sp-crf", "superpixels")]
    assert streets == ["Cityscapes", "Mapillary"]


def test_published_numbers_of_images_do_not_stand_for_regions():
    assert [p.dataset for p in published.of("entropy", "image")] == [
        "CamVid",
        "Cityscapes",
    ]
    assert published.of("entropy", "superpixels") == ()
    assert len(published.of("ripu-ra", "windows")) == 6
