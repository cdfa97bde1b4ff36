"""Which heat map is shown over the image."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QLabel,
    QWidget,
)

from napari_alseg.systems import ACQUISITIONS


class MapsPanel(QGroupBox):
    """A menu of maps, what the chosen one means, and how it is drawn."""

    map_chosen = Signal(str)
    by_region_toggled = Signal(bool)
    shown_toggled = Signal(str, bool)
    """Role of the layer, 'map' or 'prediction', and whether it is visible."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Maps", parent)
        self._maps = QComboBox()
        self._maps.addItems(list(ACQUISITIONS))
        self._sentence = QLabel()
        self._sentence.setWordWrap(True)
        self._heat = QCheckBox("show the heat map (H)")
        self._prediction = QCheckBox("show the prediction")
        self._by_region = QCheckBox("mean of each region")
        layout = QFormLayout(self)
        layout.addRow("Map", self._maps)
        for row in (self._sentence, self._heat, self._by_region, self._prediction):
            layout.addRow(row)
        self._maps.currentTextChanged.connect(self._on_map)
        self._by_region.toggled.connect(self.by_region_toggled)
        self._heat.toggled.connect(lambda on: self.shown_toggled.emit("map", on))
        self._prediction.toggled.connect(
            lambda on: self.shown_toggled.emit("prediction", on)
        )
        self._explain(self.value())

    def value(self) -> str:
        """Return the name of the chosen map."""
        return str(self._maps.currentText())

    def set_value(self, name: str) -> None:
        """Choose a map."""
        self._maps.setCurrentText(name)

    def shown(self, role: str) -> bool:
        """Whether the layer of this role is to be seen."""
        box = self._heat if role == "map" else self._prediction
        return bool(box.isChecked())

    def set_shown(self, role: str, on: bool) -> None:
        """Say that a layer is shown or hidden; other roles are not ours."""
        boxes = {"map": self._heat, "prediction": self._prediction}
        if role in boxes:
            boxes[role].setChecked(on)

    def _on_map(self, name: str) -> None:
        self._explain(name)
        self.map_chosen.emit(name)

    def _explain(self, name: str) -> None:
        self._sentence.setText(ACQUISITIONS[name].sentence)
