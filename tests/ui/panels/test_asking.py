import pytest
from panel_hands import named
from qtpy.QtCore import Qt

from napari_alseg.settings import QuerySettings
from napari_alseg.systems import resolve
from napari_alseg.systems.table import SYSTEMS
from napari_alseg.ui.panels.asking import AskingPanel

ASKABLE = [name for name, row in SYSTEMS.items() if row.choice != "everything"]


@pytest.fixture
def panel(qtbot):
    panel = AskingPanel()
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def choose(panel, hands):
    """Choose an entry of the menu of systems, or of that of a part."""
    return lambda menu, text: hands.choose(named(panel, menu), text)


@pytest.fixture
def unfold(panel, hands):
    """Unfold the parameters."""
    return lambda: hands.unfold(panel, "Parameters")


def rows(panel):
    return [row.name for row in panel._form.container] if panel._form else []


def entries(panel):
    """Each entry of the menu of systems, and whether it can be chosen."""
    model = panel._system.model()
    items = [model.item(index) for index in range(model.rowCount())]
    return [(i.text(), bool(i.flags() & Qt.ItemFlag.ItemIsEnabled)) for i in items]


def test_every_system_stands_under_its_group(panel):
    group, found = "", {}
    for text, enabled in entries(panel):
        if enabled:
            found[text] = group
        else:
            group = text
    assert found == {name: SYSTEMS[name].group for name in ASKABLE}


@pytest.mark.parametrize("name", ASKABLE)
def test_a_system_shows_its_sentence_cost_and_own_parameters_only(panel, choose, name):
    if named(panel, "System").currentText() != name:
        choose("System", name)
    query = resolve(QuerySettings(name)).settings
    assert panel.value() == query
    parts = ("partition", "acquisition", "choice")
    assert rows(panel) == [n for n in query.parameters() if n not in parts]
    text = panel._sentence.text()
    assert SYSTEMS[name].sentence in text and "To score: " in text
    assert all(row.tooltip for row in panel._form.container)


def test_a_group_is_no_system(panel, hands):
    before = panel.value()
    texts = [text for text, enabled in entries(panel) if not enabled]
    assert "RIPU" in texts
    assert before.system not in texts
    view = named(panel, "System").view()
    hands.click(named(panel, "System"))
    hands.qtbot.waitUntil(view.isVisible)
    hands.click(view.viewport(), view.visualRect(view.model().index(0, 0)).center())
    assert panel.value() == before


def test_settings_come_back_as_they_were_shown(panel):
    query = resolve(QuerySettings("ripu-pa", "2%", radius=9, exclusion=4)).settings
    panel.set_value(query)
    assert panel.value() == query
    panel.set_value(QuerySettings("equal", rows=7))
    assert panel.value() == resolve(QuerySettings("equal", rows=7)).settings


def test_a_part_can_be_changed_and_brings_its_parameters(panel, choose, unfold):
    choose("System", "ripu-ra")
    unfold()
    choose("partition", "superpixels")
    assert panel.value().partition == "superpixels"
    assert "region_size" in rows(panel) and "window" not in rows(panel)
    assert "radius" in rows(panel)


def test_parts_that_do_not_go_together_say_so_and_others_mend_it(panel, choose, unfold):
    choose("System", "deal-de")
    unfold()
    choose("partition", "grid")
    assert "take the partition 'image'" in panel._sentence.text()
    assert rows(panel) == []
    choose("partition", "image")
    assert panel.value() == resolve(QuerySettings("deal-de")).settings


def test_a_changed_parameter_is_asked_and_told(panel, hands, choose, unfold, qtbot):
    choose("System", "bald")
    unfold()
    with qtbot.waitSignal(panel.changed):
        hands.enter(panel._form.container["passes"].native, "4")
    assert panel.value().passes == 4


def test_all_is_reachable_by_key_and_has_a_name(panel):
    for menu in (panel._system, *panel._parts.values()):
        assert menu.accessibleName()
        assert menu.focusPolicy() & Qt.FocusPolicy.TabFocus
