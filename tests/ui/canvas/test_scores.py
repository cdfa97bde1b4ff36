"""Why a region is asked, as far as it is known."""

from dataclasses import replace

import numpy as np
from windowless import others

from napari_alseg.arrays import Ranking
from napari_alseg.ui.canvas.scores import put_by_live, reason


def test_a_region_that_live_has_put_there_says_so(queue):
    def why():
        return reason(
            queue.project.classes,
            queue.source.origin(queue.screen.round),
            queue.source.ranking(queue.screen),
            queue.queue.selection,
            queue.region,
        ).text

    assert "spread" in why()
    queue.requeue([replace(each, score=0.71) for each in others(queue, 9)])
    assert "spread" in why()  # the current one is still the same
    queue.step(1)
    assert why() == "Put here by live: its score is 0.71, by entropy."


def test_a_ranked_region_is_live_s_if_its_score_is_another(queue):
    project, version = queue.project, queue.queue.selection.regions[0].partition
    asked = queue.queue.selection.regions
    new = [replace(each, score=0.71) for each in others(queue, 9)]
    everything = [*asked, *new[:3]]
    count = len(everything)
    ranking = Ranking(
        project.images.names(),
        np.array([project.images.names().index(e.image) for e in everything], np.int32),
        np.array([each.region for each in everything], np.int32),
        np.array([each.score for each in everything], np.float32)
        + 0.2 * (np.arange(count) == 6).astype(np.float32),
        np.ones(count, bool),
        np.full((count, 6), 1 / 6, np.float32),
        {},
    )
    assert version == asked[0].partition
    by_live = [
        put_by_live(queue.source.origin(1), ranking, each)
        for each in (asked[0], new[0], new[1], new[5])
    ]
    assert by_live == [False, True, False, True]
