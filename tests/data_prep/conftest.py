"""Each dataset in miniature, in the layout that its authors publish; VOC and SBD are drawn, and fresh for each test."""

import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

from caffe_compat.layer.blob import Blob
from caffe_compat.proto import caffe_pb2 as pb
from data_prep.lists import write_list
from data_prep.lmdb_writer import write_lmdbs
from data_prep.records import PairLoader
from data_prep.sbd import SBDFolder
from data_prep.shapes import draw_dataset

MEAN = (104.00699, 116.66877, 122.67892)


class LayerRun:
    """A layer as the net runs it: setup and reshape once, then reshape and forward for each sample."""

    def __init__(self, cls, **params):
        self.layer = cls(pb.LayerParameter(python_param={"param_str": str({"mean": MEAN, **params})}))
        self.top = [Blob(), Blob()]
        self.layer.setup([], self.top)
        self.layer.reshape([], self.top)

    def next(self):
        self.layer.reshape([], self.top)
        self.layer.forward([], self.top)
        return [blob.data.copy() for blob in self.top]

    def take(self, count):
        return [self.next() for _ in range(count)]


@pytest.fixture(scope="session")
def drawn_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "data"
    draw_dataset(folder, train=7, val=4, seed=3)
    return folder


@pytest.fixture
def drawn(drawn_once, tmp_path):
    """The drawn dataset, in a folder of the test's own."""
    shutil.copytree(drawn_once, tmp_path / "data")
    return draw_dataset(tmp_path / "data", train=7, val=4, seed=3)


@pytest.fixture
def databases(drawn, tmp_path):
    """LMDBs of the drawn training list, as a layer's parameters."""
    write_lmdbs(tmp_path / "db", drawn.train, PairLoader(SBDFolder(drawn.sbdd_dir)))
    return {"image_lmdb": str(tmp_path / "db/image_lmdb"), "label_lmdb": str(tmp_path / "db/label_lmdb")}


@pytest.fixture
def layer_run():
    """Runs a data layer: ``layer_run(VOCSegDataLayer, voc_dir=..., split=...)``; the released mean unless given."""
    return LayerRun


def nyud_frame(random):
    """A frame of a room: a floor and a wall with noise, holes in the raw depth, labels of 894 kinds; H x W first."""
    rows, columns = np.mgrid[1:481, 1:641]
    floor = 1.3 / np.maximum((rows - 253.7) / 519.5, 1e-9)
    depth = np.minimum(floor, 3 + 0.5 * (columns - 325.6) / 518.9) * random.uniform(0.999, 1.001, rows.shape)
    raw = depth.astype(np.float32)
    row, column = random.randint(60, 300, 2)
    raw[row : row + 40, column : column + 60] = 0
    labels = np.kron(random.randint(0, 895, (12, 16)), np.ones((40, 40))).astype(np.uint16)
    image = np.kron(random.randint(0, 256, (48, 64, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    return {"image": image, "depth": depth.astype(np.float32), "raw": raw, "labels": labels}


def _small_mats(folder, map_class, train, test):
    names = np.array([f"class {i + 1}" for i in range(40)], object).reshape(1, 40)
    kinds = np.array([f"kind {i + 1}" for i in range(894)], object).reshape(1, 894)
    mapping = {"mapClass": map_class[None], "className": names, "allClassName": kinds}
    scipy.io.savemat(folder / "classMapping40.mat", mapping)
    scipy.io.savemat(folder / "splits.mat", {"trainNdxs": np.array([train]).T, "testNdxs": np.array([test]).T})


def _frame_arrays(file, count, frames_a_chunk=1):
    """MATLAB 7.3's arrays of frames: axes in reverse, compressed; a chunk holds a part of one or more frames."""
    for name, channels, kind, matlab in (
        ("images", (3,), np.uint8, "uint8"),
        ("depths", (), np.float32, "single"),
        ("instances", (), np.uint8, "uint8"),
        ("labels", (), np.uint16, "uint16"),
        ("rawDepths", (), np.float32, "single"),
    ):
        shape = (count, *channels, 640, 480)
        chunks = (frames_a_chunk, *(1 for _ in channels), 160, 480)
        made = file.create_dataset(name, shape, kind, chunks=chunks, compression="gzip", compression_opts=1)
        made.attrs["MATLAB_class"] = np.bytes_(matlab)


def _put_cells(file, name, texts):
    """A MATLAB 7.3 cell array of text, N x 1: references to arrays of UTF-16 units."""
    store = file.require_group("#refs#")
    cells = file.create_dataset(name, (1, len(texts)), h5py.ref_dtype)
    cells.attrs["MATLAB_class"] = np.bytes_("cell")
    for i, text in enumerate(texts):
        units = store.create_dataset(f"{name}{i}", data=np.array([[ord(one)] for one in text], np.uint16))
        units.attrs["MATLAB_class"] = np.bytes_("char")
        cells[0, i] = units.ref


def _put_texts(file, count):
    """What the file holds beside the frames: names, scenes, and the names of the raw files."""
    _put_cells(file, "names", [f"kind {i + 1}" for i in range(894)])
    _put_cells(file, "scenes", [f"kitchen_{i:04d}" for i in range(count)])
    _put_cells(file, "sceneTypes", ["kitchen"] * count)
    _put_cells(file, "rawRgbFilenames", [f"kitchen_{i:04d}/r-{i}.ppm" for i in range(count)])
    _put_cells(file, "rawDepthFilenames", [f"kitchen_{i:04d}/d-{i}.pgm" for i in range(count)])
    file.create_group("namesToIds").attrs["MATLAB_class"] = np.bytes_("containers.Map")
    file["accelData"] = np.zeros((4, count), np.float32)


def _put(file, index, frame):
    file["images"][index] = frame["image"].transpose(2, 1, 0)
    for name, key in (("depths", "depth"), ("rawDepths", "raw"), ("labels", "labels")):
        file[name][index] = frame[key].T


@pytest.fixture(scope="session")
def nyud_source(tmp_path_factory):
    """NYU Depth V2's three files whole, with four frames: ``folder``, ``frames`` (by index) and ``map_class``."""
    folder, random = tmp_path_factory.mktemp("nyud_source"), np.random.RandomState(0)
    map_class = random.randint(1, 41, 894).astype(np.uint8)
    frames = [nyud_frame(random) for _ in range(4)]
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        _frame_arrays(file, 4, frames_a_chunk=3)
        _put_texts(file, 4)
        for index, frame in enumerate(frames):
            _put(file, index, frame)
    with (folder / "nyu_depth_v2_labeled.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
    _small_mats(folder, map_class, [3, 1, 4], [2])
    return SimpleNamespace(folder=folder, frames=frames, map_class=map_class)


@pytest.fixture
def huge_source(nyud_source, tmp_path):
    """Arrays of the published 1,449 frames, of which only the first and the last take room in the file."""
    folder = tmp_path / "huge"
    folder.mkdir()
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        _frame_arrays(file, 1449)
        for index in (0, 1448):
            _put(file, index, nyud_source.frames[0])
    _small_mats(folder, nyud_source.map_class, [1], [2])
    return folder
