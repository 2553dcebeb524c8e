"""L48 (Merlin L48 Spectrogram Dataset): spectrograms of bird sounds, each recording with one target species.

`clips.json` has a record per image (a window of 3 seconds) with the species that are present, absent and unknown in it;
`assets.json` one per recording with its target species, those that live there at that time of the year
(`possible_species_codes`) and those that the recordist's checklist names (`observed_species_codes`); `taxa.csv` the
species. Training labels are as weak as `supervision` says:

- `target`: the target species where it is present, and nothing else: natural single positives;
- `geo`: as well, all species that do not live there are absent;
- `checklist`: as well, all that the checklist does not name are absent;
- `full`: all that experts annotated.

Validation images, those of the recordings in `val_split.npy`, and test images have the experts' labels, and only those
without an unknown species are used. Training images of which nothing is known are left out.

Source: Sun, Maji, Van Horn, "Merlin L48 Spectrogram Dataset", NeurIPS 2025 (datasets and benchmarks); masks and images
as in cvl-umass/l48-benchmarking. Shapes: N images, C species, in the order of `taxa.csv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsml_study.data.csv_columns import read_columns
from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.json_records import read_records
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.data.problem_list import Problems, data_error, shown
from wsml_study.data.text_lines import absent
from wsml_study.errors import DataError

REMEDY = "download and unpack ml48s.tar.gz as https://github.com/visipedia/ml48s says"
SPLIT_REMEDY = "put val_split.npy of https://github.com/cvl-umass/l48-benchmarking into the folder"
ASSET_KEYS = {
    "id": int,
    "split": str,
    "target_species_code": str,
    "possible_species_codes": list,
    "observed_species_codes": list,
}
CLIP_KEYS = {
    "id": int,
    "asset_id": int,
    "file_path": str,
    "present_species_codes": list,
    "unknown_species_codes": list,
    "absent_species_codes": list,
}
POSSIBLE = {"geo": "possible_species_codes", "checklist": "observed_species_codes"}
"""Supervision -> key of a recording with the species that may be in it."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Images of one part: names, labels as lists of C states, and the recording of each."""

    names: list[str]
    labels: list[list[int]]
    recordings: list[str]

    def split(self, root: Path, num_classes: int) -> Split:
        labels_NC: Labels = np.array(self.labels, dtype=np.int8).reshape(len(self.labels), num_classes)
        names = tuple(self.names)
        return Split(names=names, labels_NC=labels_NC, images=ImageFiles(folder=root, names=names))


def read_l48(root: Path, supervision: str = "target") -> Dataset:
    """L48: 100 species; 85,193 annotated images to train on, 12,448 to validate on, 31,365 to test on.

    Args:
        root: the folder with `clips.json`, `assets.json`, `taxa.csv`, `val_split.npy` and `images`.
        supervision: `target`, `geo`, `checklist` or `full`.

    Raises:
        DataError: a file or image is missing, malformed, or contradicts another.
    """
    rows, problems = read_columns(root / "taxa.csv", ("species_code",), remedy=REMEDY)
    codes = [row.cells[0] for row in rows]
    if problems or len(set(codes)) < len(codes):
        raise DataError(f"{root / 'taxa.csv'}: expected a species a line, each once; {REMEDY}")
    assets = {one["id"]: one for one in read_records(root / "assets.json", ASSET_KEYS, remedy=REMEDY)}
    clips = read_records(root / "clips.json", CLIP_KEYS, remedy=REMEDY)
    validation_assets = _validation_assets(root / "val_split.npy", assets)
    labels = _Labels(codes=dict.fromkeys(codes), supervision=supervision, problems=Problems())
    parts = {part: _Part(names=[], labels=[], recordings=[]) for part in ("train", "validation", "test")}
    num_left_out = dict.fromkeys(parts, 0)
    for clip in clips:
        asset = assets.get(clip["asset_id"])
        if asset is None or asset["split"] not in ("train", "test"):
            labels.problems.add("recordings", f"clip {clip['id']}: no recording {clip['asset_id']} in train or test")
            continue
        part = "validation" if asset["id"] in validation_assets else asset["split"]
        annotated = labels.annotated(clip)
        states = labels.weak(clip, asset, annotated) if part == "train" else annotated
        if not any(states) if part == "train" else UNOBSERVED in states:
            num_left_out[part] += 1
            continue
        parts[part].names.append(clip["file_path"])
        parts[part].labels.append(states)
        parts[part].recordings.append(str(asset["id"]))
    if labels.problems:
        raise labels.problems.error(root / "clips.json", remedy=REMEDY)
    return _dataset(root, codes, supervision, parts, num_left_out)


def _dataset(
    root: Path, codes: Sequence[str], supervision: str, parts: dict[str, _Part], num_left_out: dict[str, int]
) -> Dataset:
    if empty := [part for part, one in parts.items() if not one.names]:
        raise DataError(f"{root / 'clips.json'}: no image to use for {empty[0]}; {REMEDY}")
    if missing := absent(root, [name for one in parts.values() for name in one.names]):
        raise data_error(root, [f"no image {name}" for name in missing], remedy=REMEDY)
    train, validation = parts["train"], parts["validation"]
    joined = _Part(
        names=train.names + validation.names,
        labels=train.labels + validation.labels,
        recordings=train.recordings + validation.recordings,
    )
    return Dataset(
        name="l48",
        classes=tuple(codes),
        train=joined.split(root, len(codes)),
        test=parts["test"].split(root, len(codes)),
        image_size=448,
        horizontal_flip=False,  # time runs from left to right
        channels=3,
        validation_rows=tuple(range(len(train.names), len(joined.names))),
        groups=tuple(joined.recordings),
        notices=(
            f"training labels: {supervision}; {num_left_out['train']:,} training images of which nothing is known are "
            "left out",
            f"validation (recordings of val_split.npy) and test: labels of experts; {num_left_out['validation']:,} and "
            f"{num_left_out['test']:,} images with unknown species are left out",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Labels:
    """States of the species in a clip."""

    codes: dict[str, None]
    supervision: str
    problems: Problems

    def annotated(self, clip: dict[str, Any]) -> list[int]:
        """As experts annotated it: present, absent, and unknown, which is what neither list names."""
        by_code: dict[str, int] = {}
        for key, state in (("present", POSITIVE), ("absent", NEGATIVE), ("unknown", UNOBSERVED)):
            for code in clip[f"{key}_species_codes"]:
                if by_code.setdefault(code, state) != state:
                    self.problems.add("contradictions", f"clip {clip['id']}: {shown(code)} is in two of its lists")
        self._check_codes(f"clip {clip['id']}", by_code)
        return [by_code.get(code, UNOBSERVED) for code in self.codes]

    def weak(self, clip: dict[str, Any], asset: dict[str, Any], annotated: list[int]) -> list[int]:
        """As far as the supervision says it."""
        if self.supervision == "full":
            return annotated
        target = asset["target_species_code"]
        self._check_codes(f"recording {asset['id']}", [target])
        states = [UNOBSERVED] * len(self.codes)
        if key := POSSIBLE.get(self.supervision):
            possible = set(asset[key])
            states = [UNOBSERVED if code in possible or code == target else NEGATIVE for code in self.codes]
            for code, state, found in zip(self.codes, states, annotated, strict=True):
                if (state, found) == (NEGATIVE, POSITIVE):
                    place = f"clip {clip['id']}: {shown(code)} is present"
                    self.problems.add("contradictions", f"{place}, and {key} of recording {asset['id']} lacks it")
        return [
            POSITIVE if code == target and found == POSITIVE else state
            for code, state, found in zip(self.codes, states, annotated, strict=True)
        ]

    def _check_codes(self, where: str, codes: Any) -> None:
        for code in codes:
            if code not in self.codes:
                self.problems.add("species", f"{where}: {shown(code)} is no species of taxa.csv")


def _validation_assets(file: Path, assets: dict[int, dict[str, Any]]) -> set[int]:
    try:
        content = np.load(file)
    except (OSError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{file}: {reason}; {SPLIT_REMEDY}") from error
    if not isinstance(content, np.ndarray) or content.dtype.kind not in "iu":
        raise DataError(f"{file}: expected the ids of recordings; {SPLIT_REMEDY}")
    chosen = set(content.reshape(-1).tolist())
    if wrong := sorted(one for one in chosen if one not in assets or assets[one]["split"] != "train"):
        raise DataError(f"{file}: recording {wrong[0]} is no training recording of assets.json; {SPLIT_REMEDY}")
    return chosen
