"""Which datasets may be judged by clean labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from wsml_study.data.reader_record import READERS
from wsml_study.data.validation_labels import incomplete

COMPLETE_MC = np.array([[1, -1], [-1, 1]], dtype=np.int8)
PARTIAL_MC = np.array([[1, 0], [-1, 1]], dtype=np.int8)


@pytest.mark.parametrize("labels_MC", [PARTIAL_MC, sparse.csr_array(PARTIAL_MC)], ids=["dense", "sparse"])
def test_blanks_of_ones_own_labels_are_refused(labels_MC) -> None:
    error = incomplete(READERS["table"], labels_MC)
    assert "1 of 4 labels of the 2 validation images are unknown" in str(error)
    assert "labels: known" in str(error)


@pytest.mark.parametrize("dataset", ["voc2012", "voc_xml"])
def test_what_a_protocol_leaves_out_is_not(dataset: str) -> None:
    assert incomplete(READERS[dataset], PARTIAL_MC) is None
    assert incomplete(READERS["table"], COMPLETE_MC) is None
