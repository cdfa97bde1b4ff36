"""A ledger of one image."""

import numpy as np

from napari_alseg.arrays import Bounds
from napari_alseg.store.ledger_events import Change, LedgerEvents

BOUNDS = Bounds(1, 2, 3, 5)


NOTHING = np.zeros(BOUNDS.shape, np.uint8)


def stroke(label, **facts):
    return Change("stroke", "a", BOUNDS, NOTHING, NOTHING + label, **facts)


def append(ledger, *changes):
    with ledger.transaction():
        return [LedgerEvents(ledger).append(change) for change in changes]
