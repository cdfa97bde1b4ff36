"""Open napari with the dock: ``python -m napari_alseg.ui [PROJECT]``."""

import sys
from pathlib import Path

import napari

from napari_alseg.errors import AlsegError

from .commands import open_dock


def main() -> None:
    """Open the window, and a project if one is named."""
    viewer = napari.Viewer(title="napari-alseg")
    dock = open_dock(viewer)
    if len(sys.argv) > 1:
        try:
            dock.open_project(Path(sys.argv[1]))
        except AlsegError as error:
            dock.shut_down()
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
    napari.run()


if __name__ == "__main__":
    main()
