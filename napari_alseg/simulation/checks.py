"""What is refused before a simulation does anything."""

from collections.abc import Callable

from napari_alseg import systems
from napari_alseg.arrays import LabelMap
from napari_alseg.budget import Budget
from napari_alseg.errors import BadValue
from napari_alseg.simulation.dataset import parse_size
from napari_alseg.simulation.inputs import Inputs
from napari_alseg.simulation.run import RunSettings, SimulationRun
from napari_alseg.store import Project
from napari_alseg.systems import recipe
from napari_alseg.training.job import refuse_untaught_branch

ALIKE = ("dataset", "size", "source", "network", "encoder", "pretrained")
"""Settings that a run must share with the one that it begins after."""


def refuse_incompatible_parts(inputs: Inputs) -> None:
    """Refuse settings that contradict one another.

    Raises
    ------
    BadValue
        Naming them.
    """
    simulation = inputs.simulation
    parse_size(simulation.size)
    adding = simulation.protocol == "added-images"
    if adding != (simulation.added_images > 0):
        raise BadValue(
            f"protocol {simulation.protocol} with added_images "
            f"{simulation.added_images}: give how many images join in each round, "
            "above zero, with the protocol added-images and only with it"
        )
    source_free = inputs.training.source_free
    if source_free and (inputs.source is None or not recipe(inputs.recipe).adapts):
        raise BadValue(
            "source_free leaves a source after the first network: give a source, and "
            f"take the recipe 'adaptation' instead of {inputs.recipe!r}"
        )
    if simulation.schedule == "one-run":
        _refuse_single_training(inputs)


def _refuse_single_training(inputs: Inputs) -> None:
    """Refuse what cannot be one training with its rounds within."""
    if inputs.after is not None:
        raise BadValue(
            "a single training cannot begin after another run; take the schedule rounds"
        )
    if recipe(inputs.recipe).needs_answers:
        raise BadValue(
            f"the recipe {inputs.recipe!r} has no single training that could pause to "
            "ask; take the schedule rounds, or another recipe"
        )
    initial = inputs.simulation.initial_images
    if inputs.source is None and not initial:
        raise BadValue(
            "a single training learns for a while before it first asks: give a "
            "source, or initial images"
        )
    if inputs.source is not None and inputs.training.source_free and initial:
        raise BadValue(
            "a single training leaves its source only once: without source_free "
            "it may also have initial images"
        )


def refuse_unfit(settings: RunSettings) -> None:
    """Refuse what does not go with the asked regions.

    Raises
    ------
    BadValue
        Saying what would.
    """
    budget = Budget.parse(settings.budget)
    if settings.protocol == "pool" and settings.planned_rounds:
        budget.shares(settings.planned_rounds)
    if settings.difficulty:
        refuse_untaught_branch(recipe(settings.recipe))
    if settings.answers == "dominant" and settings.partition == "image":
        raise BadValue(
            "answers 'dominant' would give a whole image a single class; take exact "
            "answers, or a partition with smaller regions"
        )
    needs = systems.acquisition(settings.acquisition).needs
    if "difficulty" in needs and not recipe(settings.recipe).teaches_difficulty:
        raise BadValue(
            f"{settings.system} asks where the network thinks itself wrong, which the "
            f"recipe {settings.recipe!r} does not teach it; take the recipe "
            "'difficulty'"
        )


def refuse_other_beginning(settings: RunSettings, before: SimulationRun) -> None:
    """Refuse a beginning that is not finished, or other.

    Data and network must be the same, since one curve is drawn through both.

    Raises
    ------
    BadValue
        Naming what differs.
    """
    if not before.finished:
        raise BadValue(
            "the run to begin after has not come to its end; finish it with --resume"
        )
    for name in ALIKE:
        theirs, ours = getattr(before.settings, name), getattr(settings, name)
        if ours != theirs:
            raise BadValue(
                f"the run to begin after has {name} {theirs!r}, this one {ours!r}; "
                "give the same"
            )
    if settings.files != (before.settings.files or settings.files):
        raise BadValue(
            "the run to begin after was made of other images, masks or classes; give "
            "the same data"
        )


def refuse_masks_without_class(
    project: Project, truth: Callable[[str], LabelMap]
) -> None:
    """Refuse masks that teach or measure no class.

    Raises
    ------
    BadValue
        Saying which of the two.
    """
    for images, labels, what in (
        (project.images.names(), truth, "is learnt from"),
        (project.images.names("test"), project.labels.read, "measures"),
    ):
        if not any(labels(image).any() for image in images):
            raise BadValue(
                f"no image that {what} has a pixel of a class in its mask: look at the "
                "masks and at classes.csv"
            )
