"""Writing and reading weights copies nothing that it need not, and leaves nothing half written."""

import os

import numpy as np
import pytest

from caffe_compat.errors import WeightsError
from caffe_compat.proto import weights
from caffe_compat.proto.caffe_pb2 import LayerParameter
from caffe_compat.proto.weights import LayerWeights, SolverState

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_reading_gives_views_of_the_file(same, tmp_path):
    big = np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)
    weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights(f"l{i}", "InnerProduct", [big]) for i in range(4)])
    layers = weights.read_caffemodel(tmp_path / "w")
    owners = {id(_owner(layer.blobs[0])) for layer in layers}
    assert len(owners) == 1
    assert type(_owner(layers[0].blobs[0])).__name__ == "mmap"
    os.unlink(tmp_path / "w")  # the map keeps the file's bytes
    for layer in layers:
        same(layer.blobs, [big])


def _owner(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def test_writing_does_not_copy_float32_arrays():
    from caffe_compat.proto.blobs import blob_chunks

    array = np.zeros((64, 64), np.float32)
    pieces = [np.frombuffer(chunk, np.uint8) for chunk in blob_chunks(array, None, "here") if len(chunk)]
    assert any(np.shares_memory(piece, array) for piece in pieces)


def test_a_file_may_be_rewritten_from_its_own_views(same, tmp_path):
    weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "Scale", [VALUES])])
    layers = weights.read_caffemodel(tmp_path / "w")
    before = (tmp_path / "w").read_bytes()
    weights.write_caffemodel(tmp_path / "w", "n", layers)
    assert (tmp_path / "w").read_bytes() == before
    same(layers[0].blobs, [VALUES])


def test_failed_writing_leaves_nothing(tmp_path):
    (tmp_path / "w").write_text("old")
    good = LayerWeights("l", "Scale", [VALUES])
    bad = LayerWeights("m", "Scale", [np.zeros((1,) * 33, np.float32)])
    state = SolverState(3, history=[VALUES, bad.blobs[0]])
    for write, content in (
        (lambda path, c: weights.write_caffemodel(path, "n", c), [good, bad]),
        (weights.write_caffemodel_h5, [good, bad]),
        (weights.write_solverstate, state),
        (weights.write_solverstate_h5, state),
    ):
        with pytest.raises(WeightsError, match="33 axes; Caffe's blobs have at most 32"):
            write(tmp_path / "w", content)
        good_content = [good] if isinstance(content, list) else SolverState(3)
        with pytest.raises(WeightsError, match="none/w: cannot be written: No such file"):
            write(tmp_path / "none" / "w", good_content)
        assert os.listdir(tmp_path) == ["w"]
        assert (tmp_path / "w").read_text() == "old"


def test_limits_of_the_binary_form(tmp_path):
    huge = np.broadcast_to(np.float32(0), (1024, 1024, 512))  # 2 GiB that are never allocated
    with pytest.raises(
        WeightsError, match=r"'l': blobs\[0\]: 2147483648 bytes; a protobuf file holds at most 2147483647"
    ):
        weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "", [huge])])
    param = LayerParameter()
    param.clip_param.min = 0
    with pytest.raises(WeightsError, match="layer 'l': cannot be written: required field clip_param.max is missing"):
        weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "Clip", param=param)])
    with pytest.raises(WeightsError, match="diff has shape 2, data 2 x 3"):
        weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "", [VALUES], diffs=[VALUES[:, 0]])])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("name", "fault"), [("l", "two layers have this name"), (".", "HDF5 cannot hold this name")])
def test_names_that_hdf5_cannot_hold(tmp_path, name, fault):
    with pytest.raises(WeightsError, match=rf"w: layer '{name}': {fault}; rename the layer or save in binary form"):
        weights.write_caffemodel_h5(tmp_path / "w", [LayerWeights("l"), LayerWeights(name)])
    assert os.listdir(tmp_path) == []
