import sqlite3

import pytest
from ledger_by_hand import BOUNDS, NOTHING, append, stroke

from napari_alseg.errors import UnknownName
from napari_alseg.store.ledger import Ledger
from napari_alseg.store.ledger_events import Change, LedgerEvents


def test_a_transaction_that_fails_leaves_nothing(ledger, events):
    with pytest.raises(ZeroDivisionError), ledger.transaction():
        events.append(stroke(1))
        raise ZeroDivisionError
    assert events.sequence() == 0
    with pytest.raises(sqlite3.IntegrityError), ledger.transaction():
        events.append(Change("stroke", "unknown", BOUNDS, NOTHING, NOTHING))
    assert append(ledger, stroke(1)) == [1]


def test_commits_are_on_the_disk_before_they_return(ledger):
    assert ledger.value("PRAGMA journal_mode") == "wal"
    assert ledger.value("PRAGMA synchronous") == 2  # FULL


def test_unknown_images_are_told_with_the_known(ledger):
    with pytest.raises(UnknownName, match=r"image 'b'.*Known: a"):
        ledger.info("b")


def test_a_ledger_read_only_cannot_be_written(ledger, tmp_path):
    reader = Ledger(tmp_path / "ledger.sqlite", "read")
    append(ledger, stroke(1))
    assert LedgerEvents(reader).sequence() == 1
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        append(reader, stroke(1))
    reader.close()
