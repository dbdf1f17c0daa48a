"""Each dataset in miniature, in the layout that its authors publish; VOC and SBD are drawn, and fresh for each test."""

import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner
from PIL import Image

from caffe_compat.errors import DataError
from caffe_compat.layer.blob import Blob
from caffe_compat.proto import caffe_pb2 as pb
from data_prep.cli import main
from data_prep.lists import write_list
from data_prep.lmdb_writer import write_lmdbs
from data_prep.png_files import write_png
from data_prep.records import PairLoader
from data_prep.sbd import SBDFolder
from data_prep.shapes import draw_dataset
from data_prep.verify import verify_folder

MEAN = (104.00699, 116.66877, 122.67892)


class LayerRun:
    """A layer as the net runs it: setup and reshape once, then reshape and forward for each sample."""

    def __init__(self, cls, **params):
        mean = {} if cls.released_mean else {"mean": MEAN}
        self.layer = cls(pb.LayerParameter(python_param={"param_str": str({**mean, **params})}))
        self.top = [Blob() for _ in cls.tops]
        self.layer.setup([], self.top)
        self.layer.reshape([], self.top)

    def next(self):
        self.layer.reshape([], self.top)
        self.layer.forward([], self.top)
        return [blob.data.copy() for blob in self.top]

    def take(self, count):
        return [self.next() for _ in range(count)]

    def gives(self, samples):
        """The next samples are these."""
        _equal(self.take(len(samples)), samples)


def _equal(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


@pytest.fixture
def equal():
    """Function: samples, each the values of some tops, are equal but for the rounding of the mean."""
    return _equal


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
    """Runs a data layer: ``layer_run(VOCSegDataLayer, voc_dir=..., split=...)``; VOC's mean unless it has its own."""
    return LayerRun


@pytest.fixture(scope="session")
def run():
    """Function: data_prep's command line with these arguments, in this process."""
    return lambda *arguments: CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def fault(run):
    """Function: a folder does not pass ``verify``, for this reason, neither called nor on the command line."""

    def refused(folder, message):
        with pytest.raises(DataError, match=message):
            verify_folder(folder)
        done = run("verify", folder)
        assert done.exit_code == 1
        assert "1 of 1 did not pass; see above" in done.stderr
        assert "damaged" in done.stdout

    return refused


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


SCENES = "spatial_envelope_256x256_static_8outdoorcategories"


@pytest.fixture(scope="session")
def draw_siftflow():
    """Draws a small SIFT Flow: ``draw_siftflow(folder, trainval, test)``; gives data, sem and geo by id."""
    return _draw_siftflow


def _draw_siftflow(folder, trainval, test):
    random, truth = np.random.RandomState(1), {}
    names = {
        "sem": np.array([f"class {i + 1}" for i in range(33)], object),
        "geo": np.array(["sky", "horizontal"], object),
    }
    for part in ("Images", "SemanticLabels", "GeoLabels"):
        (folder / part / SCENES).mkdir(parents=True)
    for one in trainval + test:
        image = np.stack([_blocks(random, 0, 255) for _ in range(3)], 2).astype(np.uint8)
        Image.fromarray(image).save(folder / "Images" / SCENES / f"{one}.jpg")
        sem, geo = _blocks(random, 0, 33).astype(np.uint8), _blocks(random, -1, 3).astype(np.int16)
        for part, label, key in (("SemanticLabels", sem, "sem"), ("GeoLabels", geo, "geo")):
            content = {"S": label, "names": names[key].reshape(-1, 1)}
            scipy.io.savemat(folder / part / SCENES / f"{one}.mat", content, do_compression=key == "geo")
        read = np.array(Image.open(folder / "Images" / SCENES / f"{one}.jpg")).astype(np.float32)
        truth[one] = [
            (read[:, :, ::-1] - np.float32((114.578, 115.294, 108.353))).transpose(2, 0, 1)[None],
            np.where(sem == 0, 255, sem.astype(int) - 1)[None, None],
            np.where(geo <= 0, 255, geo.astype(int) - 1)[None, None],
        ]
    write_list(folder / "trainval.txt", trainval)
    write_list(folder / "test.txt", test)
    return truth


def _blocks(random, low, high):
    return np.kron(random.randint(low, high + 1, (8, 8)), np.ones((32, 32), int))


CONTEXT_TASK = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant "
    "sheep sofa train tvmonitor bag bed bench book building cabinet ceiling clothes computer cup door fence floor "
    "flower food grass ground keyboard light mountain mouse curtain platform sign plate road rock shelves "
    "sidewalk sky snow bedcloth track tree truck wall water window wood"
).split()
CONTEXT_RENAMED = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}
CONTEXT_KINDS = sorted(
    [CONTEXT_RENAMED.get(name, name) for name in CONTEXT_TASK]
    + ["air conditioner", "clothes tree", "unknown", "zebra"]
    + [f"kind {i}" for i in range(396)]
)


@pytest.fixture(scope="session")
def draw_pascalcontext():
    """Draws a small PASCAL-Context with 459 kinds: ``draw_pascalcontext(context, voc, train, val)``.

    Gives ``truth`` (data and label by id), ``task`` and ``kinds`` (the names).
    """
    return _draw_pascalcontext


def _draw_pascalcontext(context, voc, train, val):
    for folder in (context / "trainval", voc / "JPEGImages", voc / "ImageSets/Main"):
        folder.mkdir(parents=True)
    for name, names in (("labels.txt", CONTEXT_KINDS), ("59_labels.txt", CONTEXT_TASK)):
        (context / name).write_text("".join(f"{i}: {one}\n" for i, one in enumerate(names, start=1)))
    numbers, truth = np.random.RandomState(0), {}
    back = {there: name for name, there in CONTEXT_RENAMED.items()}
    named = ["", *(back.get(kind, kind) for kind in CONTEXT_KINDS)]
    classes = np.array([CONTEXT_TASK.index(one) + 1 if one in CONTEXT_TASK else 0 for one in named])
    for i, one in enumerate(train + val):
        size = (30 + i, 44 - i)
        image = np.kron(numbers.randint(0, 256, (2, 2, 3)), np.ones((30, 30, 1)))[: size[0], : size[1]]
        Image.fromarray(image.astype(np.uint8)).save(voc / "JPEGImages" / f"{one}.jpg")
        label = numbers.randint(0, len(CONTEXT_KINDS) + 1, size).astype(np.uint16)
        scipy.io.savemat(context / "trainval" / f"{one}.mat", {"LabelMap": label}, do_compression=True)
        read = np.array(Image.open(voc / "JPEGImages" / f"{one}.jpg")).astype(np.float32)
        data = (read[:, :, ::-1] - np.float32((104.007, 116.669, 122.679))).transpose(2, 0, 1)[None]
        truth[one] = [data, classes[label][None, None]]
    write_list(voc / "ImageSets/Main/train.txt", train)
    write_list(voc / "ImageSets/Main/val.txt", val)
    return SimpleNamespace(truth=truth, task=CONTEXT_TASK, kinds=CONTEXT_KINDS)


@pytest.fixture
def depths(tmp_path):
    """Two depths of a floor, and with holes as raw depth, by their number; as PNGs in ``depth`` and ``raw``."""
    made = {}
    for kind in ("depth", "raw"):
        (tmp_path / kind).mkdir()
    for seed in (1, 2):
        random, rows = np.random.RandomState(seed), np.arange(60)[:, None] / 60
        depth = ((3 - 1.5 * rows**2) * 1000 + random.uniform(-5, 5, (60, 80))).astype(np.uint16)
        raw = depth.copy()
        raw[10:20, 30:50] = 0
        write_png(tmp_path / "depth" / f"img_{seed}.png", depth)
        write_png(tmp_path / "raw" / f"img_{seed}.png", raw)
        made[seed] = (depth, raw)
    return made
