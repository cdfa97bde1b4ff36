"""What napari shows of a project: layers, screen state, pointer and scores."""
