"""Every batch that the original Caffe's data layers gave in ../shared/realdata/transform, through Net."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from google.protobuf import text_format

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
IMAGE = [
    "image_gray_resize_b4",
    "image_meanfile_crop32_b4",
    "image_native_crop64_b1",
    "image_native_sizes_b1",
    "image_noroot_b1",
    "image_palette_label_gray_b1",
    "image_resize_b1",
    "image_resize_b4",
    "image_resize_crop40_mean3_scale_b4",
    "image_resize_up_b1",
]
WINDOW = ["window_cache_scale", "window_warp", "window_warp_context_mean3"]
MEMORY = ["memory_b1_reset_midway", "memory_b2"]


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


@pytest.mark.parametrize("net", DATA + HDF5 + IMAGE + WINDOW, indirect=True)
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


@pytest.mark.parametrize("net", MEMORY, indirect=True)
def test_memory_data(net):
    made, about, recorded = net
    with np.load(f"transform/{made.name}_input.npz") as given:
        arrays = dict(given)
    for i in range(about["forwards"]):
        if f"data_{i}" in arrays:
            made.layers[0].set_input_arrays(arrays[f"data_{i}"], arrays[f"label_{i}"])
        made.forward()
        for top, shape in about["tops"].items():
            assert made.blobs[top].shape == tuple(shape)
            np.testing.assert_array_equal(made.blobs[top].data, recorded[f"fwd{i}/{top}"])


def test_hdf5_output(realdata, monkeypatch, tmp_path):
    text = (realdata / "transform/hdf5_output.prototxt").read_text()
    text = text.replace("hdf5_output.h5", str(tmp_path / "out.h5"))
    monkeypatch.chdir(realdata)
    net = Net(text_format.Parse(text, pb.NetParameter()), pb.TEST)
    net.forward()
    with h5py.File(tmp_path / "out.h5") as ours, np.load("transform/hdf5_output_file.npz") as recorded:
        assert set(ours) == set(recorded)
        for name in recorded:
            assert ours[name].dtype == recorded[name].dtype
            np.testing.assert_array_equal(ours[name], recorded[name])
