"""What a system is made of and what it costs, in words."""

from typing import Any

from napari_alseg.settings import QuerySettings

from .query import Query
from .resolve import resolve
from .table import System


def described(row: System) -> dict[str, Any]:
    """Return what a system is made of, for `napari-alseg systems --json`."""
    query = resolve(QuerySettings(row.name))
    return {
        "group": row.group,
        "sentence": row.sentence,
        "partition": row.partition,
        "acquisition": row.acquisition,
        "choice": row.choice,
        "recipe": row.recipe,
        "needs": list(query.needs),
        "parameters": dict(query.values),
        "cost": scoring_cost(query),
        "source": row.source,
        "published": row.published,
    }


def scoring_cost(query: Query) -> str:
    """Say in words what a query computes to score one image.

    Examples
    --------
    >>> scoring_cost(resolve(QuerySettings("equal")))
    '2 passes through the network an image'
    >>> scoring_cost(resolve(QuerySettings("random")))
    'nothing'
    """
    needed = query.needs
    if not needed:
        return "nothing"
    passes = (
        1
        + ("mirrored" in needed)
        + ("samples" in needed) * query.values.get("passes", 0)
    )
    text = f"{passes} pass{'es' * (passes > 1)} through the network an image"
    if "refined" in needed:
        text += f" and {query.values['crf_iterations']} iterations of a CRF"
    return text
