"""The region maps of a partition, made where they are missing."""

from collections.abc import Callable, Sequence
from functools import partial

from napari_alseg import regions, systems
from napari_alseg.arrays import Image, Progress, RegionMap, Task
from napari_alseg.settings import QuerySettings
from napari_alseg.store import Project


def partition_function(query: QuerySettings) -> Callable[[Image], RegionMap]:
    """Return what makes the region map of an image under a completed query."""
    given = query.parameters()
    match query.partition:
        case "superpixels":
            return partial(
                regions.superpixels,
                size=given["region_size"],
                compactness=given["compactness"],
            )
        case "felzenszwalb":
            return partial(
                regions.felzenszwalb,
                scale=given["segment_scale"],
                size=given["segment_size"],
            )
        case "grid":
            return lambda image: regions.grid(
                image.shape[:2], given["rows"], given["columns"]
            )
        case _:
            return lambda image: regions.grid(image.shape[:2], 1, 1)


def make_regions(
    project: Project, images: Sequence[str], query: QuerySettings
) -> Task[int]:
    """Make the region map of each image that has none yet; return their version."""
    given = query.parameters()
    taken = ("partition", *systems.PARTITIONS[given["partition"]].parameters)
    version = project.partition_version({name: given[name] for name in taken})
    missing = [image for image in images if not project.has_regions(image, version)]
    maps = regions.of_many(
        partition_function(query), (project.read_image(image) for image in missing)
    )
    for done, (image, region_map) in enumerate(zip(missing, maps, strict=True), 1):
        project.write_regions(image, version, region_map)
        yield Progress(done, len(missing), "finding regions")
    return version
