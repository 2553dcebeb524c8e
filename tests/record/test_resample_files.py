"""Files with AP in resamples of the test images."""

import numpy as np
import pytest
from pyarrow.fs import LocalFileSystem

from wsml_study.errors import ResultsError
from wsml_study.record.resample_files import read_resamples, write_resamples


def test_what_is_written_is_read_and_damage_is_named(tmp_path):
    ap_RC = np.array([[50.0, np.nan], [51.5, 12.0]], np.float32)
    folder = tmp_path / "test_resamples"
    write_resamples(LocalFileSystem(), str(folder), 7, ("cat", "dog"), ap_RC)
    np.testing.assert_array_equal(read_resamples(tmp_path, 7), ap_RC)
    assert read_resamples(tmp_path, 8) is None
    path = folder / "trial_00007.parquet"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ResultsError, match=r"trial_00007\.parquet: not a complete table of resamples"):
        read_resamples(tmp_path, 7)


def test_a_folder_that_was_moved_is_not_made_anew(tmp_path):
    with pytest.raises(ResultsError, match="was deleted or moved"):
        write_resamples(LocalFileSystem(), str(tmp_path / "gone/test_resamples"), 0, ("cat",), np.zeros((2, 1)))
    assert not (tmp_path / "gone").exists()
