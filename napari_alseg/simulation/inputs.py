"""What a simulation is given, and its settings."""

from dataclasses import asdict, dataclass
from pathlib import Path

from napari_alseg import systems
from napari_alseg.settings import (
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    RecipeSettings,
    SimulationSettings,
    TrainingSettings,
)
from napari_alseg.simulation.dataset import fingerprints, parse_size
from napari_alseg.simulation.run import Beginning, RunSettings, SimulationRun
from napari_alseg.systems import recipe


@dataclass(frozen=True)
class Inputs:
    """All that a simulation is given, as `simulate` takes it."""

    dataset: Path
    out: Path
    simulation: SimulationSettings
    network: NetworkSettings
    training: TrainingSettings
    terms: RecipeSettings
    live: LiveSettings
    prediction: PredictionSettings
    source: Path | None
    after: Path | None

    @property
    def project(self) -> Path:
        """Folder of the project."""
        return self.out / "project.alseg"

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns of all images; None keeps them."""
        return parse_size(self.simulation.size)

    @property
    def recipe(self) -> str:
        """The recipe that is given, or that of the system."""
        return self.training.recipe or systems.system(self.simulation.system).recipe


def settings_of(inputs: Inputs, before: SimulationRun | None) -> RunSettings:
    """Return what a run depends on.

    Parameters
    ----------
    inputs : Inputs
    before : SimulationRun, optional
        The run that it begins after.
    """
    simulation, network = inputs.simulation, inputs.network
    asking = systems.resolve(
        QuerySettings(simulation.system, simulation.budget, **simulation.parameters())
    )
    full = asking.choice.takes_all
    once = full and simulation.protocol == "pool"
    source = inputs.source
    return RunSettings(
        system=simulation.system,
        dataset=inputs.dataset.resolve().name,
        source=source.resolve().name if source else "",
        after=_beginning(before) if before else None,
        seed=simulation.seed,
        budget="100%" if full else str(asking.budget),
        planned_rounds=1 if once else simulation.rounds,
        size=simulation.size,
        answers=simulation.answers,
        protocol=simulation.protocol,
        initial_images=simulation.initial_images,
        added_images=simulation.added_images,
        schedule=simulation.schedule,
        network=network.network,
        encoder=network.encoder,
        pretrained=network.weights,
        difficulty=network.difficulty,
        recipe=inputs.recipe,
        asking=asking.parts | dict(asking.values),
        training=asdict(inputs.training),
        terms=asdict(inputs.terms),
        prediction=asdict(inputs.prediction),
        files=fingerprints(inputs.dataset, source),
        live=asdict(inputs.live) if recipe(inputs.recipe).lightweight else None,
    )


def _beginning(before: SimulationRun) -> Beginning:
    settings = before.settings
    return Beginning(settings.system, settings.seed, before.last.round)
