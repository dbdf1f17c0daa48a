"""Values read again from an open file, whatever happens to its name."""

import numpy as np
import pytest

from caffe_compat.errors import WeightsError
from caffe_compat.proto.kept_file import KeptFile


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "values.bin"
    found.write_bytes(b"abc" + np.arange(10, dtype="<f4").tobytes())
    return found


@pytest.fixture
def kept(path):
    with open(path, "rb") as file:
        return KeptFile(file, str(path))


@pytest.fixture
def mapped(path):
    return np.frombuffer(path.read_bytes(), np.uint8)


def test_values_are_read_where_a_view_of_the_file_lies(kept, mapped):
    view = mapped[3:].view("<f4")
    assert kept.values(view, mapped).read(2, 5).tolist() == [2, 3, 4]
    assert kept.values(view[4:], mapped).read(0, 6).tolist() == [4, 5, 6, 7, 8, 9]


def test_copies_and_other_forms_have_no_place(kept, mapped):
    view = mapped[3:].view("<f4")
    for array in (view.copy(), view[::2], view[:8].view("<f8"), view.astype("<f8")):
        assert kept.values(array, mapped) is None


def test_a_replaced_and_a_deleted_file_is_still_there(kept, mapped, path, tmp_path):
    values = kept.values(mapped[3:].view("<f4"), mapped)
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    other.replace(path)
    assert values.read(0, 2).tolist() == [0, 1]
    path.unlink()
    assert values.read(8, 10).tolist() == [8, 9]


@pytest.mark.parametrize("content", [b"", b"abcdefg", bytes(43), bytes(100)])
def test_a_file_that_was_written_to_is_refused(kept, mapped, path, content):
    values = kept.values(mapped[3:].view("<f4"), mapped)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"values\.bin: was written to after its weights were loaded.*load the weig"):
        values.read(0, 10)
