"""TensorBoard's event files through tensorboardX, a dependency of Ray Tune, without importing torch.

tensorboardX imports torch only to recognize tensors, and works without it. It is given plain numbers here, and torch
would delay the start of a study by 1.6 s, so its import is blocked meanwhile.
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
