"""The live network of a project: its labels in, a new head out, within a second.

`Live` knows the samples of all labels and a head that has learnt them. It is a task's
helper, not a task of its own: `retrain` takes it once a round for the recipe
'live', `following.follow` keeps one up to date while a person answers.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from napari_alseg import segmentation
from napari_alseg.arrays import Progress, Task, to_targets
from napari_alseg.errors import WeightsMismatch
from napari_alseg.segmentation import CALIBRATED_WITH, LIVE, LiveBody, Network, Samples
from napari_alseg.segmentation.head.head import is_lightweight
from napari_alseg.settings import (
    Device,
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    check,
)
from napari_alseg.store import Project

SAMPLES = "samples."
"""What the names of samples begin with where they are kept beside the weights."""
SAME = (
    "base",
    "classes",
    "network",
    "encoder",
    "weights",
    "weights_source",
    "settings",
)
"""What must be as it was for a head that was kept to be loaded."""


class Live:
    """A lightweight head on a frozen encoder, in step with the labels of a project.

    The encoder is that of the latest full network, else the
    pretrained one; `stale` says that there is a newer one by now.

    Parameters
    ----------
    project : Project
    network : Network
        As `start` makes it.
    base : tuple of int, optional
        Which full network the encoder is of, as `latest_full` says it; None for the
        pretrained one.
    settings : LiveSettings
    prediction : PredictionSettings
    seed : int
    """

    def __init__(
        self,
        project: Project,
        network: Network,
        base: tuple[int, int] | None,
        settings: LiveSettings,
        prediction: PredictionSettings,
        seed: int = 0,
    ) -> None:
        self.project = project
        self.network = network
        self.base = base
        self.settings = check(settings)
        self.prediction = prediction
        self.seed = seed
        self.sequence = 0
        """Labels count up to this event."""
        self.learnt = 0
        """Times that the head has learnt; 0 = it knows nothing."""
        self.behind = False
        """Whether labels were read that the head has not learnt."""
        self.unread: dict[str, None] = {}
        """Images whose labels are to be read, the latest change last."""
        self._images: tuple[str, ...] = ()
        self._owner = np.empty(0, np.int64)
        self._samples: Samples | None = None

    # --- what it is made of -----------------------------------------------------------

    @classmethod
    def start(
        cls,
        project: Project,
        network: NetworkSettings,
        settings: LiveSettings,
        prediction: PredictionSettings,
        seed: int = 0,
        device: Device = "auto",
        *,
        anew: bool = False,
    ) -> Task["Live"]:
        """Build the network, with the head that was kept if there is one for it.

        Otherwise some images are looked at, to put features on one scale.

        Parameters
        ----------
        project, network, settings, prediction, seed
        device : str
        anew : bool
            Whether a head that was kept is ignored.
        """
        yield Progress(0, 1, "loading the network")
        base = latest_full(project)
        deep = project.weights.read(base[0]) if base else None
        given = asdict(network) | (dict(deep[1]) if deep else {})
        made_of = NetworkSettings(
            LIVE + given["network"], given["encoder"], given["weights"]
        )
        net = segmentation.build(made_of, len(project.classes), seed=seed)
        if base and deep:
            segmentation.load_encoder(net, deep[0])
            source = deep[1]["weights_source"]
            net.weights_source = f"{source}, tuned in round {base[0]}"
        net.to(segmentation.choose_device(device)).eval()
        live = cls(project, net, base, settings, prediction, seed)
        if not anew and live.load_checkpoint():
            return live
        pool = project.images.names()
        count = min(CALIBRATED_WITH, len(pool))
        chosen = [pool[index * len(pool) // count] for index in range(count)]
        yield from live._body.features.calibrate(
            (
                segmentation.prepared(net, project.images.read(image), prediction)
                for image in chosen
            ),
            count,
        )
        return live

    @property
    def stale(self) -> bool:
        """Whether a full network has learnt since: there is a newer encoder."""
        return latest_full(self.project) != self.base

    def load_checkpoint(self) -> bool:
        """Go on from a head that was kept, if there is one for this encoder.

        One that cannot be read is forgotten: it saves time, and nothing else.
        """
        mine = self.metadata()
        try:
            kept = self.project.weights.read_checkpoint("live")
            if kept is None or any(kept[1].get(name) != mine[name] for name in SAME):
                return False
            arrays, metadata = kept
            columns = [arrays.pop(SAMPLES + name) for name in Samples._fields]
            owner = arrays.pop(SAMPLES + "owner")
            segmentation.load(self.network, arrays)
        except (WeightsMismatch, KeyError):
            self.project.weights.clear_checkpoint("live")
            return False
        self._samples = Samples(*map(torch.from_numpy, columns))
        self._owner, self._images = owner, tuple(metadata["images"])
        self.unread = dict.fromkeys(metadata["unread"])
        self.behind = metadata["behind"]
        self.sequence = metadata["sequence"]
        self.learnt = 1
        return True

    def metadata(self) -> dict[str, Any]:
        """Return what loading it again needs to know."""
        return segmentation.metadata(self.network) | {
            "base": list(self.base) if self.base else None,
            "sequence": self.sequence,
            "settings": asdict(self.settings),
            "images": list(self._images),
            "unread": list(self.unread),
            "behind": self.behind,
        }

    def keep(self) -> None:
        """Write network and samples down in the project, to be loaded again."""
        assert self._samples is not None
        arrays = dict(segmentation.state(self.network))
        for name, column in zip(Samples._fields, self._samples, strict=True):
            arrays[SAMPLES + name] = column.numpy()
        arrays[SAMPLES + "owner"] = self._owner
        self.project.weights.write_checkpoint("live", arrays, self.metadata())

    # --- labels -----------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Number of samples that it learns from."""
        return 0 if self._samples is None else len(self._samples)

    @property
    def classes(self) -> tuple[int, ...]:
        """Class indices that have a label, ascending."""
        if self._samples is None:
            return ()
        return tuple(np.unique(self._samples.targets.numpy()).tolist())

    @property
    def ready(self) -> bool:
        """Whether there are labels of two classes, and so something to tell apart."""
        return len(self.classes) > 1

    def read_labels(self, sequence: int | None = None) -> Task[tuple[str, ...]]:
        """Read the labels of changed images anew, the latest change first.

        It may be left after any image and goes on when it is called again; `unread`
        says what is missing until then.

        Parameters
        ----------
        sequence : int, optional
            Count labels up to this event; the newest if not given.

        Returns
        -------
        tuple of str
            Names of the images that were read.
        """
        self._notice(self.project.labels.sequence if sequence is None else sequence)
        selection = self.project.rounds.selection()
        version = selection.partition if selection else None
        read = []
        while self.unread:
            image = next(reversed(self.unread))
            self._replace(image, self._sampled(image, version))
            del self.unread[image]
            self.behind = True
            read.append(image)
            known = set(self._images) - self.unread.keys()
            total = len(known) + len(self.unread)
            yield Progress(len(known), total, "reading the labels")
        return tuple(read)

    def _notice(self, sequence: int) -> None:
        """Note which images have other labels than those that were read."""
        if sequence == self.sequence:
            return
        pool = set(self.project.images.names())
        if self.sequence == 0 or sequence < self.sequence:
            changed = self.project.labels.labelled(sequence)
            self._samples, self._owner, self._images = None, np.empty(0, np.int64), ()
            self.unread.clear()
        else:
            events = self.project.labels.events(after=self.sequence)
            changed = tuple(each.image for each in events if each.sequence <= sequence)
        for image in changed:
            if image in pool:
                self.unread.pop(image, None)
                self.unread[image] = None
        self.sequence = sequence

    def _sampled(self, image: str, version: int | None) -> Samples:
        """Choose labelled pixels of an image, by a version of its regions, and look."""
        targets = to_targets(self.project.labels.at(image, self.sequence))
        region_map = None
        if version is not None and self.project.outputs.has_regions(image, version):
            region_map = self.project.outputs.read_regions(image, version)
        rows, columns, rank = segmentation.choose_pixels(
            targets, region_map, self.settings.samples, self.seed
        )
        pixels = self.project.images.read(image)
        features = segmentation.describe_pixels(
            self.network, pixels, rows, columns, self.prediction
        )
        chance = np.random.default_rng([self.seed, *image.encode()])
        order = (rank + chance.random(len(rank))).astype(np.float32)
        return Samples(
            features, torch.from_numpy(targets[rows, columns]), torch.from_numpy(order)
        )

    def _replace(self, image: str, found: Samples) -> None:
        """Put the samples of an image in place of what it had, within the limit.

        Its own come first, up to half of all: what has just changed must count.
        """
        most = self.settings.most_samples
        found = found.of(segmentation.thin(found, np.arange(len(found)), most // 2))
        if image not in self._images:
            self._images = (*self._images, image)
        owner = self._images.index(image)
        parts, owners = [found], [np.full(len(found), owner)]
        if self._samples is not None:
            others = np.flatnonzero(self._owner != owner)
            room = most - len(found)
            kept = segmentation.thin(self._samples, others, room)
            parts.insert(0, self._samples.of(kept))
            owners.insert(0, self._owner[kept])
        self._samples = Samples.joined(parts)
        self._owner = np.concatenate(owners)

    # --- learning ---------------------------------------------------------------------

    def learn(self, steps: int | None = None) -> Task[float]:
        """Teach the head all samples, from where it is; the mean loss at the end.

        Parameters
        ----------
        steps : int, optional
            As the settings have it, if not given: more for a head that knows nothing.
        """
        assert self._samples is not None and len(self._samples)
        if steps is None:
            first = self.settings.first_steps
            steps = self.settings.steps if self.learnt else first
        loss = yield from segmentation.learn_head(
            self._body.head,
            self._samples,
            self.settings,
            steps=steps,
            seed=self.seed + 1000 * self.learnt,
        )
        self.learnt += 1
        self.behind = False
        return loss

    def begin_anew(self) -> Task[None]:
        """Teach a new head all samples of now, then put it in place of the old one.

        A head that only ever goes on learns the oldest answers by heart.
        """
        assert self._samples is not None and len(self._samples)
        head = self._body.new_head(self.seed)
        yield from segmentation.learn_head(
            head,
            self._samples,
            self.settings,
            steps=self.settings.first_steps,
            seed=self.seed,
        )
        self._body.head = head
        self.learnt += 1

    @property
    def _body(self) -> LiveBody:
        body = self.network.body
        assert isinstance(body, LiveBody)
        return body


def latest_full(project: Project) -> tuple[int, int] | None:
    """Return the latest full network's round and number.

    The number tells two trainings of one round apart. None if no network did.
    """
    for number in reversed(project.weights.rounds):
        if not is_lightweight(project.weights.metadata(number)):
            return number, project.weights.number(number)
    return None


def up_to_date(
    project: Project, network: NetworkSettings, prediction: PredictionSettings
) -> Task[Live]:
    """Return a live network that knows all labels of now, if two classes have any."""
    live = yield from Live.start(
        project, network, LiveSettings(), prediction, device=prediction.device
    )
    yield from live.read_labels()
    if live.ready:
        yield from live.learn()
    return live
