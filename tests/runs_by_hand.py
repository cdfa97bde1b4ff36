"""Runs on disk whose numbers a test chooses."""

import json
from dataclasses import asdict

from napari_alseg.settings import QuerySettings, TrainingSettings
from napari_alseg.simulation.run import FORMAT
from napari_alseg.systems import resolve

CLASSES = ["sky", "pole"]


def made(folder, system="entropy", seed=0, rounds=((0.01, 0.4), (0.1, 0.6)), **changes):
    """Write a run with these shares of pixels and mIoUs; return its folder."""
    asking = resolve(QuerySettings(system, **changes.pop("asking", {})))
    training = asdict(TrainingSettings()) | changes.pop("training", {})
    rows = [
        {
            "round": number,
            "stage": "asked",
            "part": [0.0, 1.0],
            "pixels": round(share * 10_000),
            "fraction": share,
            "regions": 10 * number,
            "images": number,
            "clicks": 20 * number,
            "miou": miou,
            "iou": {"sky": 2 * miou - 0.1, "pole": 0.1},
            "seconds": {"score": 1.0, "choose": 2.0, "train": 3.0},
        }
        for number, (share, miou) in enumerate(rounds, 1)
    ]
    run = {
        "format": FORMAT,
        "finished": True,
        "system": system,
        "dataset": "streets",
        "source": "",
        "after": None,
        "seed": seed,
        "budget": "5%",
        "planned_rounds": len(rows),
        "size": "180x240",
        "answers": "exact",
        "network": "unet",
        "encoder": "resnet18",
        "pretrained": "imagenet",
        "weights": "imagenet",
        "difficulty": False,
        "recipe": "partial",
        "asking": asking.parts | asking.values,
        "training": training,
        "terms": {},
        "classes": CLASSES,
        "pool": {"images": 10, "pixels": 10_000},
        "device": "cpu",
        "rounds": rows,
        "versions": {"torch": "2"},
    } | changes
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def full(folder, miou=0.8, **changes):
    return made(folder, "full", rounds=((1.0, miou),), **changes)
