"""The inputs from the field that are about labels; conftest.py says where they lie.

tests/data/test_label_forms.py makes an input of each of these kinds anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.label_cases import CLASSES, REFUSED
from wsml_study.errors import DataError
from wsml_study.report.study_preview import preview
from wsml_study.study.reading import read_study


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_the_remedy(case: str, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSML_CACHE", str(tmp_path))
    monkeypatch.chdir(cases / case)
    with pytest.raises(DataError, match=REFUSED[case]) as error:
        preview(read_study(Path("study.yaml")))
    assert len(str(error.value).splitlines()) <= 20


@pytest.mark.parametrize("case", CLASSES)
def test_its_classes_are_right(case: str, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cases / case)
    assert preview(read_study(Path("study.yaml"))).classes == CLASSES[case]
