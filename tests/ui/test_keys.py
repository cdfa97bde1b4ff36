"""Keys as they are pressed: in a painted window, where the focus is."""

from napari_alseg.ui import layers


def annotation(labelling):
    return layers.find(labelling.viewer, "annotation")


def answered(labelling):
    return labelling.states().count("answered")


def test_a_class_key_answers_the_region_and_goes_on(hands, labelling):
    region = labelling.region
    hands.key("3")
    assert labelling.states()[0] == "answered"
    assert labelling.position == 1
    labels = labelling.project.read_labels(region.image)
    assert (labels == 3).sum() == region.pixels


def test_keys_work_whichever_layer_of_ours_is_active(hands, labelling):
    for layer in layers.ours(labelling.viewer):
        labelling.viewer.layers.selection.active = layer
        before = answered(labelling)
        hands.key("1")
        assert answered(labelling) == before + 1


def test_keys_of_napari_itself_still_work(hands, labelling):
    layer = annotation(labelling)
    hands.key("M")
    assert layer.selected_label == layer.data.max() + 1
    hands.key("Ctrl+G")
    assert labelling.viewer.canvas.grid.enabled
    hands.key("Ctrl+G")
    assert not labelling.viewer.canvas.grid.enabled
