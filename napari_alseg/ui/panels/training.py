"""How to learn: a recipe in one sentence, what is common, and a form for the rest."""

from dataclasses import fields

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_alseg.settings import RecipeSettings, TrainingSettings
from napari_alseg.systems import RECIPES, Recipe, recipe

from .forms import SettingsForm

AS_SYSTEM = "as the system has it"
NO_SOURCE = (
    "This project has no source images, so it learns from the pool alone. A new "
    "project takes them from a folder."
)
COMMON = ("start", "minutes")
FIRST = ("epochs", "class_balance", "patience", "average")
"""Fields that stand on top of the rest."""
OWN = ("recipe", *COMMON, *FIRST)
REST = tuple(f.name for f in fields(TrainingSettings) if f.name not in OWN)


class TrainingPanel(QWidget):
    """The recipe and what is common; `more` has the rest and is placed elsewhere."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._system = RECIPES["partial"]
        self._source = 0
        self._recipe = _menu_of_recipes()
        self._unlabelled = QCheckBox("&Use unlabelled images too")
        self._unlabelled.setToolTip(
            "Learn from pseudo labels of all other images (the recipe rectified)"
        )
        self._sentence = QLabel()
        self._sentence.setWordWrap(True)
        self._common = SettingsForm(TrainingSettings(), COMMON)
        self._rest = SettingsForm(TrainingSettings(), (*FIRST, *REST))
        self._terms = SettingsForm(RecipeSettings())
        self.more = QWidget()
        self._lay_out()
        self._recipe.currentIndexChanged.connect(self._explain)
        self._unlabelled.clicked.connect(self._on_unlabelled)
        self._explain()

    def _lay_out(self) -> None:
        minutes = self._common.container["minutes"]
        minutes.label = "learn at most"
        minutes.native.setSpecialValueText("no limit")  # for 0
        minutes.native.setSuffix(" minutes")
        minutes.native.setDecimals(2)
        minutes.step = 0.5
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Recipe", self._recipe)
        form.addRow(self._sentence)
        form.addRow(self._unlabelled)
        form.addRow(self._common.native)
        column = QVBoxLayout(self.more)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._terms.native)
        column.addWidget(self._rest.native)

    def value(self) -> TrainingSettings:
        """Return how Learn would learn."""
        return TrainingSettings(
            recipe=self._recipe.currentData(),
            **self._common.values(),
            **self._rest.values(),
        )

    def set_value(self, settings: TrainingSettings) -> None:
        """Show these settings."""
        self._recipe.setCurrentIndex(self._recipe.findData(settings.recipe))
        self._common.set_value(settings)
        self._rest.set_value(settings)

    def terms(self) -> RecipeSettings:
        """How much the special terms of the recipe count."""
        return self._terms.value()

    def set_terms(self, terms: RecipeSettings) -> None:
        """Show the weights of the recipe's terms."""
        self._terms.set_value(terms)

    @property
    def recipe(self) -> Recipe:
        """What Learn would take, also where the system decides."""
        chosen: str | None = self._recipe.currentData()
        return recipe(chosen) if chosen else self._system

    def set_project(self, system: Recipe, source: int) -> None:
        """Take note of the project.

        Parameters
        ----------
        system : Recipe
            The recipe that the system of the latest round has.
        source : int
            How many source images there are.
        """
        if (system, source) != (self._system, self._source):
            self._system, self._source = system, source
            self._explain()

    def _on_unlabelled(self, on: bool) -> None:
        """Choose the recipe that does so, or go back to the usual one."""
        guessing = next(row.name for row in RECIPES.values() if row.pseudo_labels)
        usual = "partial" if self._system.pseudo_labels else None
        wanted = guessing if on else usual
        self._recipe.setCurrentIndex(self._recipe.findData(wanted))

    def _explain(self) -> None:
        """Say what the recipe does and what is missing; show its own parameters."""
        name, sentence = self.recipe.title, self.recipe.sentence
        terms = self.recipe.terms
        if self._recipe.currentData() is None:
            sentence = (
                f"{name[0].upper()}{name[1:]}: {sentence[0].lower()}{sentence[1:]}"
            )
        if self.recipe.adapts and not self._source:
            sentence += f" {NO_SOURCE}"
        self._sentence.setText(sentence)
        self._unlabelled.setChecked(self.recipe.pseudo_labels)
        for row in self._terms.container:
            row.visible = row.name in terms
        self._terms.native.setVisible(bool(terms))


def _menu_of_recipes() -> QComboBox:
    menu = QComboBox()
    menu.setAccessibleName("Recipe")
    menu.setToolTip("How the network learns")
    menu.addItem(AS_SYSTEM, None)
    for row in RECIPES.values():
        menu.addItem(row.title, row.name)
        menu.setItemData(menu.count() - 1, row.sentence, Qt.ItemDataRole.ToolTipRole)
    return menu
