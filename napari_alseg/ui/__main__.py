"""Open napari with the dock: ``python -m napari_alseg.ui [PROJECT]``."""

import sys
from pathlib import Path

import napari

from napari_alseg.errors import AlsegError
from napari_alseg.store import Project

from .commands import open_dock


def main() -> None:
    """Open the window, and a project if named."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if path is not None:
        try:
            Project.open(path, "read").close()  # no window for what cannot be opened
        except AlsegError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
    viewer = napari.Viewer(title="napari-alseg")
    dock = open_dock(viewer)
    if path is not None:
        dock.attempt(dock.open_project, path)
    napari.run()


if __name__ == "__main__":
    main()
