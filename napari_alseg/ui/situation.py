"""All that the next step depends on, read from what is on screen."""

from .annotator import Annotator
from .panels.guidance import Situation


def situation_of(annotator: Annotator, task: str, *, exhausted: bool) -> Situation:
    """Situation of an open project; nothing is changed.

    Parameters
    ----------
    annotator : Annotator
    task : str
        Name of the running task, or empty.
    exhausted : bool
        Whether Ask has found nothing more to ask.
    """
    source, screen = annotator.source, annotator.screen
    standing, states = source.standing, source.states(screen)
    return Situation(
        project=True,
        images=standing.images,
        task="" if task == "Look" else task,
        asked=len(states),
        open=states.count("open"),
        marked=source.marked(screen),
        next_image=annotator.next_image,
        painting=annotator.view.painting,
        labelled=bool(standing.sources) or source.labelled(screen),
        learned=standing.learned == standing.round,
        stopped=standing.stopped,
        exhausted=exhausted,
        read_only=annotator.project.read_only,
    )
