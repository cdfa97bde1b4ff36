"""The child process, started as ``python -m napari_alseg.worker``."""

from .child import main

if __name__ == "__main__":
    main()
