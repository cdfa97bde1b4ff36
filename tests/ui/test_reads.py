"""What one key press costs: reads of the ledger, and tellings of the change."""

from contextlib import contextmanager

import pytest

READS = 8
"""SELECTs that one answered key press may take."""


@contextmanager
def reads_of(project):
    """Give a list of all SELECTs that the ledger answers meanwhile."""
    found = []

    def note(statement):
        if statement.lstrip().upper().startswith("SELECT"):
            found.append(statement)

    connection = project._handle.ledger.connection
    connection.set_trace_callback(note)
    try:
        yield found
    finally:
        connection.set_trace_callback(None)


def changes_of(view):
    told = []
    view.changed.connect(lambda before, after: told.append((before, after)))
    return told


@pytest.mark.parametrize("key", ["1", "W", "S"])
def test_an_answered_region_costs_few_reads_and_one_change(hands, annotator, key):
    told, positions = changes_of(annotator.view), []
    for _ in range(3):
        hands.wait_painted()
        with reads_of(annotator.project) as reads:
            hands.key(key)
            hands.wait_painted()
        assert len(reads) <= READS, "\n".join(reads)
        positions.append(annotator.screen.position)
    assert positions == [1, 2, 3]
    assert len(told) == 3
    for before, after in told:
        assert after.sequence == before.sequence + 1
        assert after.position == before.position + 1


def test_a_step_reads_nothing_that_is_known(hands, annotator):
    hands.key("D", "A")
    told = changes_of(annotator.view)
    with reads_of(annotator.project) as reads:
        hands.key("D")
    assert len(told) == 1
    assert len(reads) <= READS, "\n".join(reads)


def test_lit_regions_are_one_change_without_reads(annotator):
    told = changes_of(annotator.view)
    with reads_of(annotator.project) as reads:
        annotator.view.set(similar=annotator.queue.selection.regions[2:4])
    ((before, after),) = told
    assert (len(before.similar), len(after.similar)) == (0, 2)
    assert before.place == after.place
    assert len(reads) <= READS


def test_the_same_screen_is_no_change(annotator):
    told = changes_of(annotator.view)
    annotator.view.set(position=annotator.screen.position)
    assert told == []
