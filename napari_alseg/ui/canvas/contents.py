"""The layers that show a screen: computed only, nothing is changed."""

from . import layers
from .map_layers import map_layers
from .screen import Screen
from .source import Source


def layers_of(source: Source, screen: Screen) -> list[layers.LayerData]:
    """Return the layers that show a screen, the lowest first; nothing is changed.

    Parameters
    ----------
    source : Source
        Reads the project.
    screen : Screen
    """
    return [
        *source.pictures(screen),
        *maps_of(source, screen),
        labels_of(source, screen),
        *lit_of(source, screen),
        *outlines_of(source, screen),
    ]


def labels_of(source: Source, screen: Screen) -> layers.LayerData:
    """Return the labels of the image, for the brush."""
    labels = source.labels(screen)
    return layers.annotation_layer(source.project, screen.image, labels)


def maps_of(source: Source, screen: Screen) -> list[layers.LayerData]:
    """Return the wanted maps and predictions that are there."""
    region_map = source.region_map(screen)
    return map_layers(source.project, screen.image, screen.shown, region_map)


def missing_maps(
    screen: Screen, found: list[layers.LayerData], there: list[layers.Key]
) -> list[layers.Key]:
    """Return the layers that stay empty until their map comes, which is soon.

    Taking a layer away and adding it again costs the canvas half a second each.
    """
    if not screen.expecting or screen.side_by_side:
        return []
    wanted = {("prediction", ""), *(("map", name) for name in screen.shown.names)}
    missing = wanted - {entry.key for entry in found}
    return [key for key in there if key in missing]


def lit_of(source: Source, screen: Screen) -> list[layers.LayerData]:
    """Return the regions that are lit up: those in range, and similar ones."""
    region_map = source.region_map(screen)
    ranged = screen.lit is not None and source.ranking(screen) is not None
    if region_map is None or not (ranged or screen.similar):
        return []
    alike = [each.region for each in screen.similar if each.image == screen.image]
    lit = {*source.lit_ids(screen).tolist(), *alike}
    return [layers.lit_layer(screen.image, region_map, lit)]


def outlines_of(source: Source, screen: Screen) -> list[layers.LayerData]:
    """Outlines of the asked regions of the image."""
    queue, region_map = source.queue(screen), source.region_map(screen)
    if queue is None or region_map is None:
        return []
    here = [
        (region.region, state)
        for region, state in zip(queue.selection.regions, queue.states, strict=True)
        if region.image == screen.image
    ]
    region = source.region(screen)
    outlines = layers.Outlines(
        region_map,
        waiting=frozenset(i for i, state in here if state == "open"),
        done=frozenset(i for i, state in here if state != "open"),
        current=region.region if region and region.image == screen.image else None,
    )
    return [layers.outline_layer(screen.image, outlines)]
