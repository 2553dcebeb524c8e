"""Program: checks every broken record of the plug-in; prints record -> what the check says, or null, as JSON.

Usage: python broken_checks.py FOLDER, where the distribution of the plug-in is found.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import broken_records

from wsml_study import testing


def message_of(check: Callable[[], None]) -> str | None:
    try:
        check()
    except AssertionError as error:
        return str(error)
    return None


checks = {
    **{one.name: partial(testing.check_method, one.name) for one in broken_records.METHODS},
    **{one.name: partial(testing.check_reader, one.name) for one in broken_records.READERS},
    **{one.name: partial(testing.check_backbone, one.name) for one in broken_records.BACKBONES},
    **{one.name: partial(testing.check_sampler, one.name) for one in broken_records.SAMPLERS},
    **{one.name: partial(testing.check_early_stopping, one.name) for one in broken_records.RULES},
    **{one.name: partial(testing.check_tracker, one.name, True, Path(sys.argv[1])) for one in broken_records.TRACKERS},
    **{one.name: partial(testing.check_metric, one.name) for one in broken_records.METRICS},
}
print(json.dumps({name: message_of(check) for name, check in checks.items()}))
