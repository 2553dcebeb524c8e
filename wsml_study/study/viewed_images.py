"""Whether a trial's training images have a second, strongly changed view, for methods that compare both."""

from __future__ import annotations

from wsml_study.study.batching import is_linear_probe
from wsml_study.study.clashes import PROBE_MODES
from wsml_study.study.spec import TrialConfig

CHANGES = "training.rand_augment, training.cutout or training.random_crop"


def why_no_views(config: TrialConfig) -> str | None:
    """Why a method that compares views of images cannot do so in a trial, with the remedy; None if it can."""
    if is_linear_probe(config) or config.training.mode in PROBE_MODES:
        return "compares views of an image, and a linear probe has features of one only; set training.mode: end_to_end"
    if not config.training.augments:
        return f"compares an image with a strongly changed view of it; say how it is changed with {CHANGES}"
    return None
