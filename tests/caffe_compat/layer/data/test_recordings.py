"""Every batch that the original Caffe's data layers gave in ../shared/realdata/transform, through Net."""

import json
from pathlib import Path

import numpy as np
import pytest

from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb

DATA = [
    "data_crop40_b4",
    "data_crop48_b1",
    "data_graylabel_b4",
    "data_graypng_forcecolor_b4",
    "data_indexlabel_b1",
    "data_jpeg_crop64_b1",
    "data_mean1_b4",
    "data_mean3_b1",
    "data_meanfile_b1",
    "data_meanfile_crop32_scale_b4",
    "data_nolabel_b4",
    "data_pair_image_and_labelmap",
    "data_plain_b1",
    "data_plain_b4",
    "data_png_crop40_mean3_scale_b4",
    "data_png_forcegray_b4",
    "data_png_plain_b4",
    "data_prefetch_b1",
    "data_scale_b1",
    "data_train_nocrop_b4",
]
HDF5 = ["hdf5_batch_above_rows", "hdf5_one_file_b2", "hdf5_three_tops_b3", "hdf5_two_files_b4"]


@pytest.fixture
def net(request, realdata, monkeypatch):
    """The case's net, built in the recordings' working folder, with its number of forwards and what they gave."""
    monkeypatch.chdir(realdata)
    folder = Path("transform")
    about = json.loads((folder / "index.json").read_text())[request.param]
    made = Net(str(folder / f"{request.param}.prototxt"), getattr(pb, about["phase"]))
    with np.load(folder / f"{request.param}.npz") as recorded:
        yield made, about, dict(recorded)
    made.close()


@pytest.mark.parametrize("net", DATA + HDF5, indirect=True)
def test_every_batch_is_as_recorded(net):
    made, about, recorded = net
    for top, shape in about["tops"].items():
        assert made.blobs[top].shape == tuple(shape)
    for i in range(about["forwards"]):
        made.forward()
        for top in about["tops"]:
            np.testing.assert_array_equal(
                made.blobs[top].data, recorded[f"fwd{i}/{top}"], err_msg=f"forward {i}, {top}"
            )
