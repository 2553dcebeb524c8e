"""Names of models and of their weights, in libraries whose weights have tags: what fits, and what to say where not."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Sequence

from wsml_study.errors import TrainingError
from wsml_study.study.backbone_library import HUB_PREFIX, is_weights_file, name_and_tag

DEFAULT = "DEFAULT"
"""`model.weights` for the first tag of a model, as torchvision has it."""

MOST_NAMES = 8
MOST_REASON = 300


def unknown_model(backbone: str, known: Sequence[str], *, library: str) -> TrainingError:
    """The error of a name that a library has not."""
    name, _ = name_and_tag(backbone)
    similar = difflib.get_close_matches(name, known, n=MOST_NAMES, cutoff=0.5)
    meant = f"; similar names: {', '.join(similar)}" if similar else ""
    return TrainingError(f"model.backbone: {library} has no model {name!r}, one of {len(known):,}{meant}")


def tag_of(backbone: str, weights: str | None, tags: Sequence[str]) -> str | None:
    """The tag of the weights that a backbone and `model.weights` name together.

    Args:
        backbone: with a tag at its end, or without.
        weights: a tag, `DEFAULT`, a file, or a repository of the hub; None for random weights.
        tags: that the model has, the default one first.

    Returns:
        the tag; for a file or a repository the one in the backbone's name, else the default; None for random weights,
        and for a file where the model has no tags.

    Raises:
        TrainingError: there is no such tag, or two different ones are named.
    """
    _, tag = name_and_tag(backbone)
    if tag is not None and tag not in tags:
        raise TrainingError(f"model.backbone: {backbone}: expected a tag of its weights, {_listed(tags)}, got {tag!r}")
    if weights is None:
        if tag is not None:
            raise TrainingError(
                f"model.backbone: {backbone} names the weights {tag}, and model.weights is absent: set model.weights: "
                f"{tag}, or remove .{tag} for random weights"
            )
        return None
    if is_weights_file(weights) or weights.startswith(HUB_PREFIX):
        return tag or (tags[0] if tags else None)
    if weights == DEFAULT and tags:
        return tag or tags[0]
    if weights not in tags:
        raise TrainingError(
            f"model.weights: {backbone} has {_listed(tags)}; expected one of these, a .pth or .safetensors file, or "
            f"{HUB_PREFIX}owner/name, got {weights!r}"
        )
    if tag not in (None, weights):
        raise TrainingError(f"model.weights: {weights} contradicts the tag of {backbone}; remove one of them")
    return weights


def off_grid(backbone: str, image_size: int, patch: int) -> TrainingError:
    """The error of images that a network cannot cut into whole patches."""
    below = image_size // patch * patch
    nearest = " or ".join(str(size) for size in (below, below + patch) if size > 0)
    return TrainingError(
        f"model.backbone: {backbone} does not take images of {image_size} x {image_size} pixels (data.image_size): it "
        f"cuts them into patches of {patch} x {patch}; set data.image_size: {nearest}"
    )


def misfit(backbone: str, weights: str, error: Exception, *, hint: str = "") -> TrainingError:
    """The error of a file that does not hold the weights of a backbone."""
    reason = textwrap.shorten(str(error), MOST_REASON, placeholder=" ...") or type(error).__name__
    return TrainingError(f"model.weights: {weights} does not hold the weights of {backbone}: {reason}{hint}")


def _listed(tags: Sequence[str]) -> str:
    return ", ".join(tags) if tags else "no published weights"
