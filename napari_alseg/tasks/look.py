"""The task that draws maps of one image."""

from collections.abc import Sequence

from napari_alseg import systems
from napari_alseg.arrays import Progress, Task
from napari_alseg.errors import BadValue, NothingToLearn
from napari_alseg.selection.maps import draw_maps, trained_network
from napari_alseg.settings import PredictionSettings, QuerySettings
from napari_alseg.store import Project


def look(
    project: Project,
    image: str,
    maps: Sequence[str],
    settings: QuerySettings | None = None,
    prediction: PredictionSettings | None = None,
) -> Task[str]:
    """Write the prediction and some maps of an image by the latest network; its name.

    Parameters
    ----------
    project : Project
    image : str
    maps : sequence of str
        Acquisitions of pixels; all are made of one prediction.
    settings : QuerySettings, optional
        For the parameters of the acquisition that it asks by.
    prediction : PredictionSettings, optional

    Raises
    ------
    NothingToLearn
        If the project has no network yet.
    UnknownName, BadValue
        If there is no such acquisition, or it gives pixels no score.
    """
    acquisitions = [systems.acquisition(name) for name in maps]
    for acquisition in acquisitions:
        if acquisition.of != "pixels":
            raise BadValue(
                f"{acquisition.name} gives pixels no score, so it has no map; maps "
                f"are {', '.join(systems.maps())}"
            )
    query = systems.resolve(settings or QuerySettings())
    seen = prediction or PredictionSettings()
    network = trained_network(project, seen)
    if network is None:
        raise NothingToLearn("there is no network yet: answer regions, then Learn")
    yield Progress(0, 1, f"looking at {image}")
    draw_maps(project, network, image, acquisitions, seen, query)
    return image
