"""Patients of medical images: none is on both sides of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsml_study.data.problem_list import Problems, shown


def patients_in_both(train: Sequence[str], test: Sequence[tuple[str, str]], problems: Problems, *, remedy: str) -> None:
    """Note each test image whose patient has training images too.

    Args:
        train: the patient of each training image.
        test: of each test image, where it is listed, and its patient.
        problems: what is added to.
        remedy: what to do about it.
    """
    known = set(train)
    for where, patient in test:
        if patient in known:
            problems.add(
                "patients in training and in test",
                f"{where}: {shown(patient)} has training images as well, so that test figures would be too good",
                remedy=remedy,
            )


def patients_text(patients: Mapping[str, Sequence[str]]) -> str:
    """How many patients each split has, for a notice.

    >>> patients_text({"train": ["a", "a", "b"], "test": ["c"]})
    'patients: 2 in train, 1 in test, none in both; validation images are drawn by whole patients'
    """
    counts = ", ".join(f"{len(set(one)):,} in {part}" for part, one in patients.items())
    return f"patients: {counts}, none in both; validation images are drawn by whole patients"
