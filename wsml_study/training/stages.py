"""The stages of a backbone, in the order in which an image passes them: what can be frozen, or learn at lower rates.

A stage is a layer of a transformer, `layer1` to `layer4` of a ResNet, an entry of `features`, `stages` or `blocks` of
other networks. What comes before the first one (the stem, the position embedding) is a stage too; what comes after the
last one (a normalization, a projection) is the tail, which is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

STAGE = re.compile(r"(?:^|\.)([a-z_]*(?:layer|block|stage)s?[._]?\d+|features\.\d+|s\d|Mixed_\w+|inception\w+)(?=\.)")
"""In the name of a parameter, up to the stage that it belongs to; the leftmost match counts."""

PROJECTIONS = frozenset({"body.proj"})
"""Parameters that are registered before the first stage and used after the last: CLIP's projection of features."""


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Names of parameters, the head's excluded.

    Attributes:
        names: of each stage, from the image on.
        parameters: of each stage.
        tail: behind the last stage.
    """

    names: tuple[str, ...]
    parameters: tuple[tuple[str, ...], ...]
    tail: tuple[str, ...]


def stages_of(network: nn.Module, head: nn.Module) -> Stages:
    """The stages of a network. One without names of that kind has a stage for each of its children with parameters."""
    in_head = {id(parameter) for parameter in head.parameters()}
    names = [name for name, parameter in network.named_parameters() if id(parameter) not in in_head]
    if not any(STAGE.search(name) for name in names):
        return _children(names)
    stem: list[str] = []
    stages: dict[str, list[str]] = {}
    waiting: list[str] = []  # between two stages, or behind the last
    for name in names:
        found = None if name in PROJECTIONS else STAGE.search(name)
        if found is None:
            (waiting if stages or name in PROJECTIONS else stem).append(name)
            continue
        if stages and waiting:
            between = [one for one in waiting if one not in PROJECTIONS]
            stages[next(reversed(stages))] += between
            waiting = [one for one in waiting if one in PROJECTIONS]
        stages.setdefault(name[: found.end()], []).append(name)
    if stem:
        stages = {"stem": stem, **stages}
    return Stages(names=tuple(stages), parameters=tuple(map(tuple, stages.values())), tail=tuple(waiting))


def _children(names: list[str]) -> Stages:
    stages: dict[str, list[str]] = {}
    for name in names:
        stages.setdefault(name.partition(".")[0], []).append(name)
    return Stages(names=tuple(stages), parameters=tuple(map(tuple, stages.values())), tail=())
