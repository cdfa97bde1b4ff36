"""Messages cross a process as they are, and the end of a stream is told."""

import io
import pickle

import pytest

from napari_alseg.arrays import Progress
from napari_alseg.tasks.requests import LookRequest
from napari_alseg.worker.messages import (
    Begin,
    Broke,
    Failed,
    Finished,
    Stepped,
    Stop,
    Stopped,
    Told,
    forward,
)

MESSAGES = [
    Begin("street.alseg", LookRequest("a", ["entropy"])),
    Told({"image": "a"}),
    Stop(),
    Stepped(Progress(1, 2, "learning")),
    Finished((1, 2)),
    Stopped(),
    Failed("Busy", "somebody writes"),
    Broke("Traceback"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_survives_the_way(message):
    assert pickle.loads(pickle.dumps(message)) == message


def test_all_messages_are_handed_on_in_order_and_then_the_end():
    stream, heard = io.BytesIO(b"".join(map(pickle.dumps, MESSAGES))), []
    forward(stream, heard.append)
    assert heard == [*MESSAGES, None]


def test_a_stream_that_is_cut_ends():
    heard = []
    forward(io.BytesIO(pickle.dumps(Stop())[:-3]), heard.append)
    assert heard == [None]
