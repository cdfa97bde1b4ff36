"""A settings dataclass as a form; every row comes from the dataclass itself."""

from dataclasses import fields
from typing import Any, Generic, TypeVar, get_type_hints

import docstring_parser
from magicgui.widgets import Container, create_widget

Settings = TypeVar("Settings")


class SettingsForm(Generic[Settings]):
    """A form whose rows, limits and tooltips are those of a settings dataclass.

    Parameters
    ----------
    defaults : dataclass instance
        What the form shows first; its class decides the rows.
    """

    def __init__(self, defaults: Settings) -> None:
        self._kind = type(defaults)
        hints = get_type_hints(self._kind)
        tooltips = {
            entry.arg_name: entry.description or ""
            for entry in docstring_parser.parse(self._kind.__doc__ or "").params
        }
        rows = [
            create_widget(
                value=getattr(defaults, entry.name),
                annotation=hints[entry.name],
                name=entry.name,
                options=_options(entry.metadata, tooltips.get(entry.name, "")),
            )
            for entry in fields(defaults)  # type: ignore[arg-type]
        ]
        self.container = Container(widgets=rows, labels=True)
        self.container.margins = (0, 0, 0, 0)

    @property
    def native(self) -> Any:
        """The form as a Qt widget."""
        return self.container.native

    def value(self) -> Settings:
        """Return what the form says."""
        return self._kind(**{row.name: row.value for row in self.container})

    def set_value(self, settings: Settings) -> None:
        """Show these settings."""
        for row in self.container:
            row.value = getattr(settings, row.name)


def _options(limits: Any, tooltip: str) -> dict[str, Any]:
    """Return magicgui's options; a small limit below 1 needs a small step."""
    options = {**limits, "tooltip": tooltip}
    if isinstance(limits.get("min"), float):
        options["step"] = 1e-4 if limits["min"] < 1e-3 else 0.05
    return options
