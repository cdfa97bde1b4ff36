from dataclasses import replace

from conftest import TINY_TRAINING
from steps import answer, ask, learn

from napari_alseg.arrays import IGNORE
from napari_alseg.settings import SpreadSettings
from napari_alseg.training import examples as module
from napari_alseg.training.examples import Examples


def test_examples_ignore_what_has_no_label(project, truth):
    answer(project, ask(project, "12 regions"), truth)
    images = project.labels.labelled()
    examples = Examples(project, images, project.labels.sequence)
    assert all((examples[i].targets == IGNORE).any() for i in range(len(images)))


def test_labels_given_while_learning_are_not_learnt_this_time(project, truth):
    answer(project, ask(project), truth)
    sequence = project.labels.sequence
    images = project.labels.labelled()
    late = ask(project)
    examples = Examples(project, images, sequence)
    before = [examples[i].targets.copy() for i in range(len(images))]
    answer(project, late, truth)
    again = Examples(project, images, sequence)
    assert all((again[i].targets == targets).all() for i, targets in enumerate(before))


def test_examples_keep_no_more_than_they_may(project, truth, monkeypatch):
    answer(project, ask(project, system="full"), truth)
    one = project.images.read(project.images.names()[0]).size // 3 * 4
    monkeypatch.setattr(module, "CACHED_BYTES", 2 * one)
    examples = Examples(project, project.images.names(), project.labels.sequence)
    for _ in range(2):
        for index in range(len(examples)):
            assert examples[index].image.shape == (48, 64, 3)
            assert examples._kept.bytes <= 2 * one


def test_labels_spread_for_learning_only(project, truth, monkeypatch):
    noisy = SpreadSettings(colour=30.0)
    monkeypatch.setattr(module, "SpreadSettings", lambda: noisy)
    answer(project, ask(project, "20 regions"), truth)
    images, sequence = project.labels.labelled(), project.labels.sequence
    given = Examples(project, images, sequence)
    handed_on = Examples(project, images, sequence, spread=True)
    before = {image: project.labels.read(image) for image in images}
    more = 0
    for plain, wide in zip(given, handed_on, strict=True):
        known = plain.targets != IGNORE
        assert (wide.targets[known] == plain.targets[known]).all()
        more += (wide.targets != IGNORE).sum() - known.sum()
    assert more > 0
    assert all((project.labels.read(i) == before[i]).all() for i in images)
    learn(project, replace(TINY_TRAINING, spread=True))
    assert all((project.labels.read(i) == before[i]).all() for i in images)
