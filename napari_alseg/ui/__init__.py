"""The window: all that knows napari and Qt.

`dock` connects; `panels` show values and tell what is pressed; `canvas` draws what the
project holds; `annotator` turns keys and strokes into answers; `background` runs long
work; `commands` serves menus and palette.
"""
