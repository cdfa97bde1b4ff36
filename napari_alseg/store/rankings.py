"""What a round measured of the regions of the pool, beside the ledger.

::

    rankings/round-003/     arrays of one row a region: image, region, score, open,
                            probability, terms; attributes: names of images and terms

Only the latest round's is kept. A ranking explains a selection and is never read to
make one: it may be deleted at any time.
"""

import shutil
from pathlib import Path

import numpy as np
import zarr

from napari_alseg.arrays import Ranking


def write_ranking(folder: Path, round: int, ranking: Ranking) -> None:
    """Write a ranking and delete all others."""
    shutil.rmtree(folder, ignore_errors=True)
    half_written = folder / "half-written"
    group = zarr.create_group(
        half_written,
        attributes={"images": list(ranking.images), "terms": list(ranking.terms)},
    )
    terms = np.array([*ranking.terms.values()], np.float32)
    arrays = {
        "image": ranking.image,
        "region": ranking.region,
        "score": ranking.score,
        "open": ranking.open,
        "probability": ranking.probability.astype(np.float16),
        "terms": terms.reshape(len(ranking.terms), len(ranking.score)),
    }
    for name, array in arrays.items():
        group.create_array(name, data=array)
    half_written.rename(folder / f"round-{round:03}")


def read_ranking(folder: Path, round: int) -> Ranking | None:
    """Read the ranking of a round.

    None if it has none or is not kept any more.
    """
    try:
        group = zarr.open_group(folder / f"round-{round:03}", mode="r")
    except FileNotFoundError:
        return None
    arrays = {name: np.asarray(array[...]) for name, array in group.arrays()}
    names = group.attrs["terms"]
    return Ranking(
        images=tuple(group.attrs["images"]),  # type: ignore[arg-type]
        image=arrays["image"],
        region=arrays["region"],
        score=arrays["score"],
        open=arrays["open"],
        probability=arrays["probability"].astype(np.float32),
        terms=dict(zip(names, arrays["terms"], strict=True)),  # type: ignore[arg-type]
    )
