"""The window: the only folder that knows napari and Qt.

`dock` coordinates; `project_panel`, `round_panel`, `label_panel` and `maps_panel` show
and emit requests; `layers` draws what the project holds; `labelling` turns keys and
strokes into answers; `background` runs long work; `commands` serves menus and palette.
"""
