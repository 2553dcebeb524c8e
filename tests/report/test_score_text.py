from __future__ import annotations

from pathlib import Path

import pytest

from wsml_study.errors import DataError
from wsml_study.report.score_text import score_lines
from wsml_study.report.study_dataset import dataset_of
from wsml_study.study.data_section import Data


def test_scores_are_compared_with_the_known_labels(tmp_path: Path) -> None:
    plain = Data(dataset="digit_scenes")
    dataset = dataset_of(plain)
    assert list(score_lines(dataset, plain)) == []
    rows = [",".join([name, "1", "0.5", *["0"] * 8]) for name in dataset.train.names]
    file = tmp_path / "scores.csv"
    file.write_text("\n".join([",".join(["image", *dataset.classes]), *rows]))
    (line,) = score_lines(dataset, Data(dataset="digit_scenes", pseudo_labels=str(file)))
    positives_C = (dataset.train.labels_NC == 1).sum(0)
    right = positives_C[:2].sum()
    assert line == (
        f"pseudo-labels of {file}: 20.0% of the scores are 0.5 or more; {right / (2 * len(dataset.train)):.1%} of "
        f"these that are known are positive, which is {right / positives_C.sum():.1%} of the known positives"
    )
    with pytest.raises(DataError, match=r"data\.pseudo_labels"):
        list(score_lines(dataset, Data(dataset="digit_scenes", pseudo_labels=str(tmp_path / "none.csv"))))
