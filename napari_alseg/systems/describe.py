"""What a system is made of and what it costs, in words."""

from typing import Any

from napari_alseg.settings import QuerySettings

from .resolve import completed, needs, parameters
from .table import System


def described(row: System) -> dict[str, Any]:
    """Return what a system is made of, for `napari-alseg systems --json`."""
    query = completed(QuerySettings(row.name))
    taken = parameters(row.partition, row.acquisition, row.choice)
    return {
        "group": row.group,
        "sentence": row.sentence,
        "partition": row.partition,
        "acquisition": row.acquisition,
        "choice": row.choice,
        "recipe": row.recipe,
        "needs": list(needs(query)),
        "parameters": {name: getattr(query, name) for name in taken},
        "cost": scoring_cost(query),
        "source": row.source,
        "published": row.published,
    }


def scoring_cost(query: QuerySettings) -> str:
    """Say in words what a completed query computes to score one image.

    Examples
    --------
    >>> scoring_cost(completed(QuerySettings("equal")))
    '2 passes through the network an image'
    >>> scoring_cost(completed(QuerySettings("random")))
    'nothing'
    """
    needed = needs(query)
    if not needed:
        return "nothing"
    passes = 1 + ("mirrored" in needed) + ("samples" in needed) * (query.passes or 0)
    text = f"{passes} pass{'es' * (passes > 1)} through the network an image"
    if "refined" in needed:
        text += f" and {query.crf_iterations} iterations of a CRF"
    return text
