"""Peak memory of scoring large images, and whether it grows with the pool.

``python benchmarks/memory.py [--quick] [SYSTEM ...]``. Images have
1024 x 2048 pixels and 19 classes; the network is the default one. Each system is
measured in a process of its own, which first loads everything and scores a small image.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from napari_alseg.worker.client import PATIENT_THREADS

SHAPE = (1024, 2048)
CLASSES = 19
IMAGES = 5
SYSTEMS = ("entropy", "ripu-ra", "equal", "sp-crf", "coreset", "bald")
QUICK = (512, 512), 3, ("entropy",)
"""Size, images and systems in a hurry."""
FLAT = 100.0
"""Megabytes that later images may add: what allocators keep for themselves."""


def peak_megabytes() -> float:
    """Return the most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(system: str, shape: tuple[int, int], images: int) -> None:
    """Print the peak before, with one image, and with all of them, in megabytes."""
    import numpy as np

    from napari_alseg import segmentation, systems
    from napari_alseg.arrays import finish
    from napari_alseg.sample_data import scenes
    from napari_alseg.selection.maps import see
    from napari_alseg.selection.measure import by_network
    from napari_alseg.selection.partitions import make_regions
    from napari_alseg.settings import (
        NetworkSettings,
        PredictionSettings,
        QuerySettings,
    )
    from napari_alseg.store import Project, default_classes

    settings = PredictionSettings(device="cpu")
    query = systems.resolve(QuerySettings(system))
    network = segmentation.build(NetworkSettings(weights="random"), CLASSES).eval()
    classes = default_classes([f"class {number}" for number in range(CLASSES)])
    with tempfile.TemporaryDirectory() as folder:
        with Project.create(Path(folder) / "large.alseg", classes) as project:
            small = next(scenes(1, shape=(64, 64)))
            project.images.add("small", small.image)
            for scene in scenes(images, shape=shape):
                project.images.add(scene.name, scene.image)
            rng = np.random.default_rng(0)
            measure_regions = by_network(project, network, query, settings, rng)
            peaks = []
            for image in project.images.names():
                if query.partition.found_by_scores:
                    see(project, network, query, settings, image)
                else:
                    version = finish(make_regions(project, [image], query))
                    measure_regions(image, project.outputs.read_regions(image, version))
                peaks.append(peak_megabytes())
    print(peaks[0], peaks[1], peaks[-1])


def main() -> None:
    """Measure each system in a child process and print one table."""
    from harness import at_most, flags, report

    parser = flags(__doc__ or "")
    parser.add_argument("systems", nargs="*")
    parser.add_argument("--child", action="store_true", help="for its own use")
    given = parser.parse_args()
    shape, images, systems = QUICK if given.quick else (SHAPE, IMAGES, SYSTEMS)
    if given.child:
        measure(given.systems[0], shape, images)
        return
    quick = ["--quick"] if given.quick else []
    rows = []
    for system in given.systems or systems:
        ended = subprocess.run(
            [sys.executable, __file__, "--child", *quick, system],
            env=PATIENT_THREADS | os.environ,
            check=True,
            capture_output=True,
            text=True,
        )
        before, first, last = map(float, ended.stdout.split()[-3:])
        one = f"{system}: one image, beside {before:.0f} MB"
        rows += [
            at_most(one, first - before, "MB", 8000),
            at_most(f"{system}: more after {images}", last - first, "MB", FLAT),
        ]
    report("memory", rows, quick=given.quick)


if __name__ == "__main__":
    main()
