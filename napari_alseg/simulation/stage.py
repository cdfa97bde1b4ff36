"""One stage of a simulation: ask, answer, learn, measure.

Each step looks at the project first and does only what is not done yet. So a stage
that was ended at any moment resumes at its first missing step.
"""

from collections.abc import Callable
from dataclasses import replace

from napari_alseg.arrays import LabelMap, Selection, Task
from napari_alseg.metrics import Scores
from napari_alseg.selection.maps import trained_network
from napari_alseg.settings import NetworkSettings, PredictionSettings
from napari_alseg.simulation.inputs import Inputs
from napari_alseg.simulation.oracle import Oracle, OracleAnswers
from napari_alseg.simulation.plan import SimulationStage, asked_selection
from napari_alseg.simulation.run import (
    RunSettings,
    Seconds,
    SimulationRound,
    SimulationRun,
)
from napari_alseg.store import Project
from napari_alseg.systems import recipe
from napari_alseg.tasks.query import query
from napari_alseg.tasks.retrain import retrain
from napari_alseg.training.job import measure_scores


def do_stage(
    stage: SimulationStage,
    inputs: Inputs,
    project: Project,
    truth: Callable[[str], LabelMap],
    run: SimulationRun,
) -> Task[SimulationRun]:
    """Do what a stage lacks; return the longer run."""
    live = recipe(run.settings.recipe).lightweight
    encoder = inputs.network if live and not project.weights.rounds else None
    selection = yield from _asked(project, stage, inputs.prediction, encoder)
    exact = stage.kind == "initial"
    oracle = Oracle(truth, "exact" if exact else inputs.simulation.answers)
    answers = _answered(project, selection, oracle)
    if project.rounds.metrics(stage.round).learnt is None:
        yield from _learn(stage, inputs, project, run.settings)
    scores = yield from _final_scores(project, inputs.prediction)
    row = _row(project, stage, run, answers, scores)
    weights = project.rounds.metrics(stage.round).learnt or ""
    return replace(run, weights=weights, rounds=(*run.rounds, row))


def _asked(
    project: Project,
    stage: SimulationStage,
    prediction: PredictionSettings,
    live: NetworkSettings | None,
) -> Task[Selection | None]:
    """Ask what the stage asks, unless it is asked already.

    Before any weights are there, the encoder of the later lightweight head (`live`)
    describes the regions.
    """
    if stage.query is None:
        return None
    if stage.round in project.rounds.numbers:
        return asked_selection(project, stage.round)
    return (
        yield from query(project, stage.query, prediction, among=stage.among, live=live)
    )


def _answered(
    project: Project, selection: Selection | None, oracle: Oracle
) -> OracleAnswers | None:
    """Answer the open regions; return all answers."""
    if selection is None:
        return None
    answers = oracle.answers(project, selection)
    number = selection.round
    states = project.rounds.states(number)
    still_open = {at for at, state in enumerate(states) if state == "open"}
    patches = answers.patches
    project.labels.answer_all(
        number, {at: patches[at] for at in patches if at in still_open}
    )
    for position in answers.skipped:
        project.labels.skip(number, position)
    return answers


def _learn(
    stage: SimulationStage, inputs: Inputs, project: Project, settings: RunSettings
) -> Task[None]:
    """Learn all labels, or resume this stage's training."""
    yield from retrain(
        project,
        inputs.network,
        replace(inputs.training, recipe=_recipe_at(stage, settings)),
        inputs.prediction,
        inputs.simulation.seed,
        recipe=inputs.terms,
        live=inputs.live,
        resume=_stopped(project, stage),
        part=stage.part,
    )


def _stopped(project: Project, stage: SimulationStage) -> bool:
    """Whether this stage's training was stopped on its way."""
    checkpoint = project.weights.read_checkpoint("training")
    return checkpoint is not None and checkpoint[1]["plan"]["round"] == stage.round


def _recipe_at(stage: SimulationStage, settings: RunSettings) -> str:
    """Recipe of a stage: that of the run.

    So RIPU's single training has all its terms throughout, and DEAL's first network
    has its branch. Only what begins with answers learns a source by its labels alone.
    """
    alone = stage.kind == "source" and recipe(settings.recipe).needs_answers
    return "partial" if alone else settings.recipe


def _final_scores(project: Project, prediction: PredictionSettings) -> Task[Scores]:
    """Measure the latest network on the test split."""
    network = trained_network(project, prediction)
    assert network is not None
    scores = yield from measure_scores(project, network, "test", prediction)
    assert scores is not None
    return scores


def _row(
    project: Project,
    stage: SimulationStage,
    run: SimulationRun,
    answers: OracleAnswers | None,
    scores: Scores,
) -> SimulationRound:
    """Return the costs and scores of a stage."""
    asked = [
        asked_selection(project, n) for n in project.rounds.numbers if n <= stage.round
    ]
    pixels = sum(selection.pixels for selection in asked)
    before = run.last.clicks if run.rounds else 0
    return SimulationRound(
        round=stage.round,
        stage=stage.kind,
        part=stage.part,
        pixels=pixels,
        fraction=pixels / run.pool.pixels,
        regions=sum(len(selection.regions) for selection in asked),
        images=len({image for selection in asked for image in selection.images}),
        clicks=before + (answers.clicks if answers else 0),
        miou=scores.mean,
        iou=dict(zip(run.classes, scores.iou, strict=True)),
        seconds=_seconds(project, stage.round),
    )


def _seconds(project: Project, number: int) -> Seconds:
    recorded = project.rounds.metrics(number)
    return Seconds(
        score=recorded.score_seconds or 0.0,
        choose=recorded.choose_seconds or 0.0,
        train=recorded.train_seconds or 0.0,
    )
