"""Region-based active learning for semantic segmentation in napari.

Importing this package loads neither torch nor Qt nor zarr: each package is
imported by whoever enters it.
"""

__version__ = "0.1.0"
