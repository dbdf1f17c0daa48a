"""A drawn VOC and SBD in miniature, fresh for each test that may damage them."""

import shutil

import pytest

from caffe_compat.layer.blob import Blob
from caffe_compat.proto import caffe_pb2 as pb
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
