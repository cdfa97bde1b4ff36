"""The table of recipes: how a network learns.

A recipe's task and objective are named in its row and looked up when they are used.
Adding one takes an objective and a row: docs/adding-a-recipe.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .parts import look_up


@dataclass(frozen=True)
class Recipe:
    """How a network learns, and what makes it a recipe of its own."""

    name: str
    title: str
    """What a person reads in a menu."""
    sentence: str
    objective: str = ""
    """Name of the objective in `napari_alseg.segmentation`, where there is only one."""
    task: str = "single_stage.learn_once"
    """Module and function in `napari_alseg.training` that drives it."""
    terms: tuple[str, ...] = ()
    """Fields of `RecipeSettings` that it takes."""
    needs_answers: bool = False
    """Whether source images alone teach it nothing."""
    whole: bool = False
    """Whether it can only be learnt in one go, as it has stages of its own."""
    teaches_difficulty: bool = False
    """Whether it teaches the network's difficulty branch."""
    adapts: bool = False
    """Whether it learns from source images and from the whole pool."""
    pseudo_labels: bool = False
    """Whether it gives pseudo labels to what has no label."""
    lightweight: bool = False
    """Whether it learns no more than a head on a frozen encoder."""

    def learn(self, learner: Any, checkpoint: Any, until: float) -> Any:
        """Begin its task.

        Parameters
        ----------
        learner : training.job.Learner
        checkpoint : training.plan.Checkpoint or None
            Where to go on.
        until : float
            The part of the training that is done now, 0..1.

        Returns
        -------
        Task[Report]
        """
        return self.function(learner, checkpoint, until)

    @property
    def function(self) -> Callable[..., Any]:
        """The function in `napari_alseg.training` that drives it."""
        module, name = self.task.split(".")
        task: Callable[..., Any] = getattr(
            import_module(f"napari_alseg.training.{module}"), name
        )
        return task

    def make_objective(self, *given: Any, **more: Any) -> Any:
        """Return its training objective, of `napari_alseg.segmentation`."""
        segmentation = import_module("napari_alseg.segmentation")
        return getattr(segmentation, self.objective)(*given, **more)


RECIPES = {
    row.name: row
    for row in (
        Recipe(
            "partial",
            "labels alone",
            "Learns from the labels alone.",
            "Partial",
        ),
        Recipe(
            "consistency",
            "consistency (EquAL)",
            "Also learns to see the same in an image and in its mirror image.",
            "Consistency",
            terms=("consistency",),
        ),
        Recipe(
            "difficulty",
            "difficulty (DEAL)",
            "A second branch learns where the network errs.",
            "Difficulty",
            terms=("difficulty", "ignored_is_right"),
            teaches_difficulty=True,
        ),
        Recipe(
            "adaptation",
            "adaptation (RIPU)",
            "Also learns from source images of another domain, and from the whole "
            "pool.",
            "Adaptation",
            terms=("local_consistency", "negative", "threshold"),
            adapts=True,
        ),
        Recipe(
            "rectified",
            "rectified (CISC-R)",
            "Also learns from images without labels: it gives them pseudo labels, and "
            "trusts these as far as they resemble labelled images.",
            task="cisc_r.learn_rectified",
            terms=("similarity", "never"),
            needs_answers=True,
            whole=True,
            pseudo_labels=True,
        ),
        Recipe(
            "live",
            "live (lightweight head)",
            "Learns only a lightweight head on the encoder, from all labels, in "
            "seconds.",
            task="live_head.learn_live",
            needs_answers=True,
            lightweight=True,
        ),
    )
}


def recipe(name: str) -> Recipe:
    """Return the recipe of this name.

    Examples
    --------
    >>> recipe("difficulty").terms
    ('difficulty', 'ignored_is_right')
    >>> recipe("parsial")
    Traceback (most recent call last):
    napari_alseg.errors.UnknownName: unknown recipe 'parsial'
    """
    return look_up("recipe", name, RECIPES)
