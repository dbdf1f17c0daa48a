"""Each dataset as it is published, in miniature, by the real command line in two processes, and into the data layers.

For the same seed a net reads the same samples in the same order from the folders and from the LMDBs.
"""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format
from PIL import Image

import caffe_compat
from caffe_compat.proto import caffe_pb2 as pb
from data_prep.labels import encode_label, voc_palette
from data_prep.layers import register_released_names
from data_prep.lists import read_list, write_list
from data_prep.sbd import LabelPNGs, SBDFolder
from data_prep.shapes import draw_dataset
from data_prep.user_folder import user_folder

ROOT = Path(__file__).resolve().parents[2]
MEAN = (104.00699, 116.66877, 122.67892)
SCENES = ["coast_natu975", "street_par29", "forest_for114", "highway_gre37", "mountain_nat57"]
CONTEXT = ["2008_000002", "2008_000003", "2008_000007", "2009_000015"]


def prepare(*arguments):
    command = [sys.executable, "-m", "data_prep", *map(str, arguments), "--jobs", "2", "--lmdb"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory, nyud_source, draw_siftflow, draw_pascalcontext):
    """The FCN release's folder ``data`` with every dataset; NYUDv2 is made of its published files."""
    root = tmp_path_factory.mktemp("release") / "data"
    drawn = draw_dataset(root, train=7, val=4, seed=3)
    write_list(drawn.voc_dir / "ImageSets/Segmentation/train.txt", drawn.val)
    draw_siftflow(root / "sift-flow", SCENES, ["coast_sun14"])
    draw_pascalcontext(root / "pascal-context", root / "pascal/VOC2010", CONTEXT, ["2010_000001"])
    prepare("nyud", "--source", nyud_source.folder, "--out", root / "nyud")
    return root


def samples(python_param, tops, count):
    """What a net with that data layer alone gives, forward by forward."""
    register_released_names()
    layer = pb.LayerParameter(name="data", type="Python", top=tops, python_param=python_param)
    net = caffe_compat.Net(pb.NetParameter(layer=[layer]), caffe_compat.TEST)
    taken = []
    for _ in range(count):
        net.forward()
        taken.append([net.blobs[top].data.copy() for top in tops])
    return taken


def both(files, stored, tops, ids, split):
    """The same from the folder and from the databases, in the order of the released draws."""
    common = {"split": split, "seed": 1337}
    count = 3 * len(ids)
    ours = samples(_param(files, common), tops, count)
    theirs = samples(_param(stored, common), tops, count)
    for one, other in zip(ours, theirs, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    stream = random.Random(1337)
    drawn = [ids[stream.randint(0, len(ids) - 1)] for _ in range(count)]
    first = {one: drawn.index(one) for one in drawn}
    for position, one in enumerate(drawn):
        np.testing.assert_array_equal(ours[position][0], ours[first[one]][0])
    assert len({ours[place][0].tobytes() for place in first.values()}) == len(first) > 1, "every sample is another"


def _param(layer, common):
    module, name, params = layer
    return {"module": module, "layer": name, "param_str": str({**params, **common})}


def lmdbs(folder, **more):
    paths = {f"{kind}_lmdb": str(folder / f"{kind}_lmdb") for kind in ("image", "label")}
    return "voc_layers", "LMDBSegDataLayer", {**paths, "mean": MEAN, **more}


def test_voc(data, tmp_path):
    voc = data / "pascal/VOC2011"
    prepare("voc", "--source", data, "--year", "2011", "--out", tmp_path, "--split", "train")
    files = ("voc_layers", "VOCSegDataLayer", {"voc_dir": str(voc), "mean": MEAN})
    ids = read_list(voc / "ImageSets/Segmentation/train.txt")
    both(files, lmdbs(tmp_path / "voc2011_train"), ["data", "label"], ids, "train")


@pytest.mark.parametrize("labels", ["mat", "png"])
def test_sbd(data, tmp_path, labels):
    root = data / "sbdd/dataset"
    if labels == "png":
        root = tmp_path / "benchmark_RELEASE/dataset"
        (root / "cls").mkdir(parents=True)
        (root / "img").symlink_to(data / "sbdd/dataset/img")
        write_list(root / "train.txt", read_list(data / "sbdd/dataset/train.txt"))
        convert = LabelPNGs(SBDFolder(data / "sbdd/dataset"), root / "cls")
        assert {convert(one) for one in read_list(root / "train.txt")} == {"written"}
    prepare("sbd", "--source", root, "--out", tmp_path / "out")
    files = ("voc_layers", "SBDDSegDataLayer", {"sbdd_dir": str(root), "mean": MEAN})
    both(files, lmdbs(tmp_path / "out/sbd_train"), ["data", "label"], read_list(root / "train.txt"), "train")


def test_nyud(data):
    tops = ["color", "depth", "hha", "label"]
    files = ("nyud_layers", "NYUDSegDataLayer", {"nyud_dir": str(data / "nyud"), "tops": tops})
    stored = ("nyud_layers", "NYUDLMDBSegDataLayer", {"lmdb_dir": str(data / "nyud/nyud_trainval"), "tops": tops})
    both(files, stored, tops, read_list(data / "nyud/trainval.txt"), "trainval")


def test_fcns_lists_of_nyud_take_the_place_of_the_official_split(nyud_source, tmp_path):
    """The release's train and val, and ids as its file names have them."""
    (tmp_path / "train.txt").write_text("img_5003\nimg_5001\n")
    (tmp_path / "val.txt").write_text("5004\n")
    lists = [word for name in ("train", "val") for word in ("--list-file", tmp_path / f"{name}.txt")]
    prepare("nyud", "--source", nyud_source.folder, "--out", tmp_path / "out", *lists)
    made = {path.name for path in (tmp_path / "out").glob("*.txt")}
    assert made == {"train.txt", "val.txt", "classes.txt"}
    assert read_list(tmp_path / "out/train.txt") == ["5003", "5001"]
    assert sorted(path.stem for path in (tmp_path / "out/data/hha").iterdir()) == ["img_5001", "img_5003", "img_5004"]
    assert (tmp_path / "out/nyud_val/label_lmdb/data.mdb").exists()


def test_siftflow(data, tmp_path):
    prepare("siftflow", "--source", data, "--out", tmp_path)
    files = ("siftflow_layers", "SIFTFlowSegDataLayer", {"siftflow_dir": str(data / "sift-flow")})
    stored = ("siftflow_layers", "SIFTFlowLMDBSegDataLayer", {"lmdb_dir": str(tmp_path / "siftflow_trainval")})
    both(files, stored, ["data", "sem", "geo"], SCENES, "trainval")


def test_pascalcontext(data, tmp_path):
    prepare("pascalcontext", "--source", data, "--out", tmp_path)
    params = {"voc_dir": str(data / "pascal"), "context_dir": str(data / "pascal-context")}
    files = ("pascalcontext_layers", "PASCALContextSegDataLayer", params)
    mean = (104.007, 116.669, 122.679)
    stored = lmdbs(tmp_path / "pascalcontext_train", classes=60, mean=mean)
    both(files, stored, ["data", "label"], CONTEXT, "train")


def test_own_folder(tmp_path):
    """Images and labels of one's own, divided by a fraction; the databases hold the files, in the list's order."""
    root, numbers = tmp_path / "own", np.random.RandomState(0)
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for i in range(8):
        size = (30 + i, 50 - i)
        Image.fromarray(numbers.randint(0, 256, (*size, 3)).astype(np.uint8)).save(root / f"images/s{i}.jpg")
        label = numbers.choice(np.array([0, 1, 2, 255], np.uint8), size)
        (root / f"labels/s{i}.png").write_bytes(encode_label(label, voc_palette() if i % 2 else None))
    (root / "classes.txt").write_text("ground\ncar\nperson\n")
    prepare("folder", "--source", root, "--out", tmp_path / "out", "--fraction", "val=0.25")
    folder, ids = user_folder(root), read_list(tmp_path / "out/lists/folder_train.txt")
    assert len(ids) == 6
    params = {"split": "all", **lmdbs(tmp_path / "out/folder_train", classes=3)[2], "mean": (0, 0, 0)}
    stored = samples(_param(("voc_layers", "LMDBSegDataLayer", params), {}), ["data", "label"], 6)
    for one, (image, label) in zip(ids, stored, strict=True):
        pair = folder.read_pair(one)
        np.testing.assert_array_equal(image[0].transpose(1, 2, 0)[:, :, ::-1], pair.image)
        np.testing.assert_array_equal(label[0, 0], pair.label)


def test_every_data_layer_of_the_release_runs(realdata, data):
    """The 30 released nets' data layers, their param_str but for where ``data`` is."""
    released = json.loads((realdata / "released.json").read_text())
    ran = set()
    for model, files in sorted(released.items()):
        for file, message in sorted(files.items()):
            net = json_format.ParseDict(message, pb.NetParameter()) if "solver" not in file else pb.NetParameter()
            for layer in net.layer:
                if layer.type != "Python":
                    continue
                text = layer.python_param.param_str.replace("../../data", "../data").replace("../data", str(data))
                layer.python_param.param_str = text
                (values,) = samples(layer.python_param, list(layer.top), 1)
                shapes = {top: value.shape[:2] for top, value in zip(layer.top, values, strict=True)}
                assert shapes == {top: (1, 1 if top in ("label", "sem", "geo", "depth") else 3) for top in layer.top}, (
                    model,
                    file,
                )
                assert len({value.shape[2:] for value in values}) == 1
                ran.add((model, file))
    assert len(ran) == 2 * len(released) == 30
