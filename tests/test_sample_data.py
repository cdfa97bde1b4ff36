import numpy as np

from napari_alseg.sample_data import BALLOON, CLASSES, scenes


def test_the_same_seed_draws_the_same_scenes():
    first, second = (list(scenes(2, seed=3, shape=(48, 64))) for _ in range(2))
    assert all((a.image == b.image).all() for a, b in zip(first, second, strict=True))
    other = next(scenes(1, seed=4, shape=(48, 64)))
    assert (first[0].image != other.image).any()


def test_every_pixel_has_a_class_and_the_rare_one_is_rare():
    drawn = list(scenes(40, shape=(96, 128)))
    labels = np.stack([scene.labels for scene in drawn])
    share = np.bincount(labels.ravel(), minlength=len(CLASSES) + 1) / labels.size
    assert share[0] == 0
    assert 0 < share[BALLOON] < 0.005
    assert (share[1:] > 0).all()
