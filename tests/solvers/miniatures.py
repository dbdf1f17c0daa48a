"""NYUDv2, SIFT Flow and PASCAL-Context in miniature, each in its published layout below a data folder.

Pictures and labels are blocks of random colours and classes.
"""

import numpy as np
import scipy.io
from PIL import Image

from data_prep.lists import write_list
from data_prep.nyud import NYUDFolder, encode_segmentation
from solvers.evaluation import EVALUATIONS

SCENES = "spatial_envelope_256x256_static_8outdoorcategories"
_RENAMED = {"table": "diningtable", "bedclothes": "bedcloth", "cloth": "clothes"}  # kind: in the task's list


def _blocks(random, low, high, height, width, across=8):
    small = random.randint(low, high + 1, (across, across))
    return np.kron(small, np.ones((-(-height // across), -(-width // across)), int))[:height, :width]


def _picture(random, height, width):
    return np.stack([_blocks(random, 0, 255, height, width) for _ in range(3)], 2).astype(np.uint8)


def make_nyud(data, train=("5003", "5001", "5004"), test=("5002", "5005")):
    """data/nyud, with the lists that the release ships: train and val, of which trainval is made, and test."""
    folder, random = NYUDFolder(data / "nyud"), np.random.RandomState(3)
    for one in folder.folders():
        one.mkdir(parents=True)
    for number, image_id in enumerate((*train, *test)):
        height, width = 48, 64 + 8 * (number % 2)
        Image.fromarray(_picture(random, height, width)).save(folder.image_path(image_id))
        Image.fromarray(_picture(random, height, width)).save(folder.picture_path("hha", image_id))
        depth = _blocks(random, 700, 9000, height, width).astype(np.uint16)
        for kind in ("depth", "rawdepth"):
            Image.fromarray(depth).save(folder.picture_path(kind, image_id))
        label = _blocks(random, 0, 40, height, width).astype(np.uint8)
        folder.label_path(image_id).write_bytes(encode_segmentation(label, "drawn"))
    for name, ids in {"train": train[:2], "val": train[2:], "test": test}.items():
        write_list(folder.list_path(name), ids)
    return folder


def make_siftflow(
    data, train=("coast_natu975", "street_par29", "forest_for114"), test=("coast_sun14", "street_urb885")
):
    """data/sift-flow: the release's lists, and the archive unpacked beside them."""
    root, random = data / "sift-flow" / "SiftFlowDataset", np.random.RandomState(4)
    for part in ("Images", "SemanticLabels", "GeoLabels"):
        (root / part / SCENES).mkdir(parents=True)
    for one in (*train, *test):
        Image.fromarray(_picture(random, 256, 256)).save(root / "Images" / SCENES / f"{one}.jpg")
        sem, geo = _blocks(random, 0, 33, 256, 256).astype(np.uint8), _blocks(random, -1, 3, 256, 256).astype(np.int16)
        scipy.io.savemat(root / "SemanticLabels" / SCENES / f"{one}.mat", {"S": sem})
        scipy.io.savemat(root / "GeoLabels" / SCENES / f"{one}.mat", {"S": geo})
    for name, ids in {"trainval": train, "test": test}.items():
        write_list(data / "sift-flow" / f"{name}.txt", ids)
    return root


def make_pascalcontext(data, train=("2008_000002", "2008_000003", "2008_000007"), val=("2008_000008", "2008_000009")):
    """data/pascal-context with the lists of classes as the release names them, and data/pascal/VOC2010."""
    context, voc, random = data / "pascal-context", data / "pascal" / "VOC2010", np.random.RandomState(5)
    for folder in (context / "trainval", voc / "JPEGImages", voc / "ImageSets" / "Main"):
        folder.mkdir(parents=True)
    task = EVALUATIONS["pascalcontext"].class_names[""][1:]
    kinds = sorted(["accordion", "zebra", *task])
    for name, lines in {
        "classes-400.txt": kinds,
        "classes-59.txt": [_RENAMED.get(one, one) for one in task],
    }.items():
        (context / name).write_text("".join(f"{number}: {one}\n" for number, one in enumerate(lines, 1)))
    for one in (*train, *val):
        Image.fromarray(_picture(random, 64, 72)).save(voc / "JPEGImages" / f"{one}.jpg")
        label = _blocks(random, 1, len(kinds), 64, 72).astype(np.uint16)
        scipy.io.savemat(context / "trainval" / f"{one}.mat", {"LabelMap": label})
    for name, ids in {"train": train, "val": val}.items():
        write_list(voc / "ImageSets" / "Main" / f"{name}.txt", ids)
    return context


MAKERS = {"nyud": make_nyud, "siftflow": make_siftflow, "pascalcontext": make_pascalcontext}
