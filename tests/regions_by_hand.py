"""Random scores, costs and classes that the tests of choices share."""

import numpy as np

NEVER = -np.inf


def rng():
    return np.random.default_rng(0)


def pool_of(seed, regions=40, classes=4):
    """Random scores with ties and some never, costs and classes."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 12, regions) / 12
    scores[generator.random(regions) < 0.1] = NEVER
    costs = generator.integers(1, 6, regions)
    return scores, costs, generator.integers(0, classes, regions)
