"""A miniature of four samples for every verb that makes LMDBs, and depth images for ``hha``; the commands' runs."""

import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from data_prep.labels import encode_label, voc_palette
from data_prep.nyud import encode_segmentation
from data_prep.png_files import write_png

ROOT = Path(__file__).resolve().parents[3]
IDS = ["a1", "b2", "c3", "d4"]
SCENES = "spatial_envelope_256x256_static_8outdoorcategories"
RANDOM = np.random.RandomState(5)
VERBS = ["voc", "sbd", "siftflow", "pascalcontext", "folder", "nyud"]


@dataclass
class Miniature:
    """A dataset of four samples and the command that prepares it."""

    verb: str
    root: Path
    image: str  # below root, with {}
    label: str
    options: tuple[str, ...] = ()
    name: str = ""  # of the finished folder below --out
    size: tuple[int, int] = (24, 32)
    ids: tuple[str, ...] = tuple(IDS)

    def command(self, out, *more):
        return [self.verb, "--source", self.root, "--out", out, *self.options, *more]

    def image_file(self, one):
        return self.root / self.image.format(one)

    def label_file(self, one):
        return self.root / self.label.format(one)

    def write_image(self, one, size=None):
        path = self.image_file(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RANDOM.randint(0, 256, (*(size or self.size), 3)).astype(np.uint8)).save(path)

    def write_label(self, one, values):
        """H x W as the dataset's own files have them, or H x W x 3: colours, which are no label."""
        path = self.label_file(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png" and values.ndim == 3:
            Image.fromarray(values).save(path)
        elif path.suffix == ".png":
            path.write_bytes(encode_label(values, voc_palette()))
        elif self.verb == "nyud":
            path.write_bytes(encode_segmentation(values, "a test"))
        else:
            variable = {"siftflow": "S", "pascalcontext": "LabelMap"}.get(self.verb)
            scipy.io.savemat(path, {variable: values} if variable else {"GTcls": {"Segmentation": values}})

    def write_list(self, where, name="train"):
        path = self.root / where / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{one}\n" for one in IDS))


def draw(verb, root):
    """One of the miniatures."""
    layouts = {
        "voc": ("VOC2011/JPEGImages/{}.jpg", "VOC2011/SegmentationClass/{}.png", "voc2011_train"),
        "sbd": ("dataset/img/{}.jpg", "dataset/cls/{}.mat", "sbd_train"),
        "siftflow": (f"Images/{SCENES}/{{}}.jpg", f"SemanticLabels/{SCENES}/{{}}.mat", "siftflow_trainval"),
        "pascalcontext": ("VOC2010/JPEGImages/{}.jpg", "trainval/{}.mat", "pascalcontext_train"),
        "folder": ("images/{}.jpg", "labels/{}.png", "folder_train"),
        "nyud": ("data/images/img_{}.png", "segmentation/img_{}.mat", "nyud_train"),
    }
    lists = {"voc": "VOC2011/ImageSets/Segmentation", "sbd": "dataset", "pascalcontext": "VOC2010/ImageSets/Main"}
    image, label, name = layouts[verb]
    made = Miniature(verb, root, image, label, name=name, size=(256, 256) if verb == "siftflow" else (24, 32))
    for one in IDS:
        made.write_image(one)
        made.write_label(one, RANDOM.randint(1, 4, made.size).astype(np.uint8))
    made.write_list(lists.get(verb, ""), "trainval" if verb == "siftflow" else "train")
    if verb == "siftflow":
        (root / "GeoLabels" / SCENES).mkdir(parents=True)
        for one in IDS:
            geometric = RANDOM.randint(-1, 4, made.size).astype(np.int16)
            scipy.io.savemat(root / "GeoLabels" / SCENES / f"{one}.mat", {"S": geometric})
    if verb == "pascalcontext":
        names = ["table", "bedclothes", "cloth", *(f"kind{i}" for i in range(56))]
        task = ["diningtable", "bedcloth", "clothes", *names[3:]]
        for file, listed in (("labels.txt", names), ("59_labels.txt", task)):
            (root / file).write_text("".join(f"{i}: {one}\n" for i, one in enumerate(listed, start=1)))
    if verb == "folder":
        (root / "classes.txt").write_text("sky\nroad\ncar\nperson\n")
    if verb == "nyud":
        for kind, channels, low in (("depth", (), 500), ("hha", (3,), 0)):
            (root / "data" / kind).mkdir()
            for one in IDS:
                values = RANDOM.randint(low, 9000 if kind == "depth" else 256, (*made.size, *channels))
                write_png(root / "data" / kind / f"img_{one}.png", values.astype("u2" if kind == "depth" else "u1"))
    return made


@pytest.fixture(scope="session")
def drawn_verbs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verbs")
    return {verb: draw(verb, folder / verb) for verb in VERBS}


@pytest.fixture
def miniature_of(drawn_verbs, tmp_path):
    """Function: a verb's miniature in a folder of the test's own."""

    def copy(verb):
        made = drawn_verbs[verb]
        shutil.copytree(made.root, tmp_path / "source")
        return Miniature(**{**vars(made), "root": tmp_path / "source"})

    return copy


@pytest.fixture(params=VERBS)
def made(miniature_of, request):
    """The miniature of every verb in turn; ``ids`` are its samples."""
    return miniature_of(request.param)


@pytest.fixture
def hha_command(tmp_path):
    """Function: the command, with more options, that makes HHA of four depth images in ``depth``."""
    rows_down = np.arange(60)[:, None] / 60
    for one in IDS:
        depth = (3 - 1.5 * rows_down**2) * 1000 + RANDOM.uniform(-5, 5, (60, 80))
        (tmp_path / "depth").mkdir(exist_ok=True)
        write_png(tmp_path / "depth" / f"{one}.png", depth.astype(np.uint16))
    return lambda out, *more: ["hha", "--depth", tmp_path / "depth", "--out", out, "--camera", "60,61,40,30", *more]


@pytest.fixture
def run_code():
    """Function: a program of a few lines, given as text, and its arguments, run in a process of its own."""

    def run(code, *arguments):
        command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    return run


@pytest.fixture
def rows():
    """Function: of what was printed, the summary's cells by list: images, published, kept, faults, classes, rest."""

    def read(output):
        table = [line.split() for line in output[output.index("list ") :].splitlines()]
        return {
            row[0]: dict(zip(table[0][1:6], row[1:6], strict=True)) | {"rest": " ".join(row[6:])} for row in table[1:]
        }

    return read
