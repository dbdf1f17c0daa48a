"""HDF5Output: every forward's rows, one after the other, in a file that is whole after each."""

import h5py
import numpy as np
import pytest
import torch
from google.protobuf import text_format

from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.registry import create_layer
from caffe_compat.proto import caffe_pb2 as pb


@pytest.fixture
def output_layer(tmp_path):
    def make(data_shape=(2, 3), label_shape=(2,), name=None):
        text = "name: 'o' type: 'HDF5Output' bottom: 'a' bottom: 'b'"
        param = text_format.Parse(text, pb.LayerParameter())
        param.hdf5_output_param.file_name = str(tmp_path / "out.h5" if name is None else name)
        layer = create_layer(param, pb.TEST)
        layer.setup([data_shape, label_shape])
        return layer

    return make


def read(path):
    with h5py.File(path) as file:
        return {name: np.array(file[name]) for name in file}


def test_rows_of_every_forward(output_layer, run_layer, tmp_path):
    layer = output_layer()
    data = torch.arange(6.0).reshape(2, 3)
    assert run_layer(layer, data, torch.tensor([4.0, 5.0])) == []
    found = read(tmp_path / "out.h5")
    assert found["data"].tolist() == data.reshape(2, 3, 1, 1).tolist()
    assert found["label"].tolist() == torch.tensor([4.0, 5.0]).reshape(2, 1, 1, 1).tolist()
    run_layer(layer, -data[:1], torch.tensor([6.0]))
    found = read(tmp_path / "out.h5")
    assert found["data"][:, :, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5], [0, -1, -2]]
    assert found["label"].ravel().tolist() == [4, 5, 6]


def test_a_file_that_is_there_is_replaced(output_layer, run_layer, tmp_path):
    (tmp_path / "out.h5").write_text("old")
    layer = output_layer()
    assert (tmp_path / "out.h5").read_text() == "old"
    run_layer(layer, torch.zeros(2, 3), torch.zeros(2))
    assert read(tmp_path / "out.h5")["data"].shape == (2, 3, 1, 1)


def test_replay_writes_nothing(output_layer, run_layer, tmp_path):
    run_layer(output_layer(), torch.zeros(2, 3), torch.zeros(2), replay=True)
    assert not (tmp_path / "out.h5").exists()


def test_rows_of_another_shape(output_layer, run_layer, tmp_path):
    layer = output_layer()
    run_layer(layer, torch.ones(2, 3), torch.zeros(2))
    with pytest.raises(
        DataError, match=r"dataset 'data' has rows of shape \(3, 1, 1\); those of this forward are \(4,"
    ):
        run_layer(layer, torch.zeros(2, 4), torch.zeros(2))
    assert {name: len(rows) for name, rows in read(tmp_path / "out.h5").items()} == {"data": 2, "label": 2}


def test_bottoms_of_different_lengths(output_layer):
    with pytest.raises(LayerError, match=r"layer 'o' \(HDF5Output\): bottoms of shape \(2, 3\) and \(3,\); both must"):
        output_layer().reshape([(2, 3), (3,)])


def test_more_than_four_axes(output_layer):
    with pytest.raises(LayerError, match="at most 4 axes can be written"):
        output_layer().reshape([(2, 1, 1, 1, 1), (2,)])


def test_a_file_name_is_needed(output_layer):
    with pytest.raises(LayerError, match="hdf5_output_param.file_name is missing"):
        output_layer(name="")


@pytest.mark.parametrize("name", ["no_such_folder/out.h5", "."])
def test_a_place_that_cannot_be_written(output_layer, name):
    with pytest.raises(DataError, match=rf"layer 'o' \(HDF5Output\): cannot write '{name}'; name a file in a writable"):
        output_layer(name=name)


def test_a_folder_that_vanished(output_layer, run_layer, tmp_path):
    (tmp_path / "sub").mkdir()
    layer = output_layer(name=tmp_path / "sub" / "out.h5")
    (tmp_path / "sub").rmdir()
    with pytest.raises(DataError, match=r"out.h5: cannot be written: "):
        run_layer(layer, torch.zeros(2, 3), torch.zeros(2))
