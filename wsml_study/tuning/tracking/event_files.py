"""What writes TensorBoard's event files: tensorboardX, which Ray Tune brings along, without torch.

tensorboardX imports torch to know a tensor when it is given one, and does without where there is none. It is given
numbers here, and torch would hold up the start of a study by 1.6 s.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _torch_left_out() -> Iterator[None]:
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]


with _torch_left_out():
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.summary import hparams

__all__ = ["Event", "EventsWriter", "SessionLog", "Summary", "hparams"]
