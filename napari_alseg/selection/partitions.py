"""The region maps of a partition, made where they are missing."""

from collections.abc import Sequence

from napari_alseg import regions
from napari_alseg.arrays import Progress, Task
from napari_alseg.store import Project
from napari_alseg.systems import Query


def make_regions(project: Project, images: Sequence[str], query: Query) -> Task[int]:
    """Make the region map of each image that has none yet; return their version."""
    partition = query.partition
    taken = {name: query.values[name] for name in partition.settings}
    version = project.outputs.partition_version({"partition": partition.name, **taken})
    missing = [
        image for image in images if not project.outputs.has_regions(image, version)
    ]
    maps = regions.of_many(
        partition.maker(query.values), (project.images.read(image) for image in missing)
    )
    for done, (image, region_map) in enumerate(zip(missing, maps, strict=True), 1):
        project.outputs.write_regions(image, version, region_map)
        yield Progress(done, len(missing), "finding regions")
    return version
