"""What the latest task says beside its progress."""

from qtpy.QtWidgets import QLabel, QWidget


class Notes(QLabel):
    """Lines of text, each once; hidden while empty.

    Examples
    --------
    >>> notes = Notes()  # doctest: +SKIP
    >>> notes.add("the encoder is frozen")  # doctest: +SKIP
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setAccessibleName("Notes of the latest task")
        self.hide()

    def add(self, text: str) -> None:
        """Show another line; an empty text takes all away."""
        notes = self.text().splitlines() if text else []
        note = text[:1].upper() + text[1:]
        if text and note not in notes:
            notes.append(note)
        self.setText("\n".join(notes))
        self.setVisible(bool(notes))
