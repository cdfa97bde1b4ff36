"""A settings dataclass as a form; every row comes from the dataclass itself."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import docstring_parser
from magicgui.widgets import Container, create_widget

Settings = TypeVar("Settings")


class SettingsForm(Generic[Settings]):
    """A form whose rows, limits and tooltips are those of a settings dataclass.

    Parameters
    ----------
    defaults : dataclass instance
        What the form shows first; its class decides the rows.
    names : iterable of str, optional
        The fields that have a row; all if not given.
    """

    def __init__(self, defaults: Settings, names: Iterable[str] | None = None) -> None:
        self._kind = type(defaults)
        hints = get_type_hints(self._kind)
        tooltips = _descriptions(self._kind)
        entries = {entry.name: entry for entry in fields(defaults)}  # type: ignore[arg-type]
        rows = [
            create_widget(
                value=getattr(defaults, name),
                annotation=_given(hints[name]),
                name=name,
                options=_options(entries[name].metadata, tooltips.get(name, "")),
            )
            for name in names or entries
        ]
        self.container = Container(widgets=rows, labels=True)
        self.container.margins = (0, 0, 0, 0)

    @property
    def native(self) -> Any:
        """The form as a Qt widget."""
        return self.container.native

    def values(self) -> dict[str, Any]:
        """Return what each row says, by name."""
        return {row.name: row.value for row in self.container}

    def value(self) -> Settings:
        """Return what the form says."""
        return self._kind(**self.values())

    def set_value(self, settings: Settings) -> None:
        """Show these settings."""
        for row in self.container:
            row.value = getattr(settings, row.name)


def _descriptions(kind: type) -> dict[str, str]:
    """Return what each field means, from the docstrings of a class and its bases."""
    return {
        entry.arg_name: entry.description or ""
        for base in reversed(kind.__mro__)
        for entry in docstring_parser.parse(base.__doc__ or "").params
    }


def _given(hint: Any) -> Any:
    """Return the type of a field once it is given: without None."""
    kinds = get_args(hint)
    return (
        next(k for k in kinds if k is not type(None)) if type(None) in kinds else hint
    )


def _options(metadata: Any, tooltip: str) -> dict[str, Any]:
    """Return magicgui's options; a small limit below 1 needs a small step."""
    limits = {name: metadata[name] for name in ("min", "max") if name in metadata}
    options = {**limits, "tooltip": tooltip}
    if isinstance(limits.get("min"), float):
        options["step"] = 1e-4 if limits["min"] < 1e-3 else 0.05
    return options
