"""The user's own images and labels: to lists and LMDBs, and into a net."""

import json
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from data_prep.cli import main
from data_prep.labels import encode_label, voc_palette
from data_prep.layers import LMDBSegDataLayer
from data_prep.lists import read_list, write_list
from data_prep.user_folder import UserFolder, divide, user_folder

IDS = [f"scene{i:02d}" for i in range(8)] + ["night/a", "night/b"]
SUFFIXES = [".jpg", ".png", ".JPG", ".jpeg", ".bmp"]


def run(*arguments):
    return CliRunner().invoke(main, ["folder", *map(str, arguments)])


@pytest.fixture
def own(tmp_path):
    """Ten images of several kinds with labels of classes 0 to 3 and void 255, every other one with a palette."""
    root, random, labels = tmp_path / "own", np.random.RandomState(0), {}
    for part in ("images/night", "labels/night"):
        (root / part).mkdir(parents=True)
    for i, one in enumerate(sorted(IDS)):
        size = (20 + i, 31 - i)
        image = Image.fromarray(random.randint(0, 256, (*size, 3)).astype(np.uint8))
        image.save(root / "images" / f"{one}{SUFFIXES[i % 5]}")
        labels[one] = random.choice(np.array([0, 1, 2, 3, 255], np.uint8), size)
        content = encode_label(labels[one], voc_palette() if i % 2 else None)
        (root / "labels" / f"{one}.png").write_bytes(content)
    (root / "classes.txt").write_text("sky\nroad sign\n\ncar\nperson\n")
    return SimpleNamespace(root=root, labels=labels, images=root / "images")


def test_a_division_by_fractions_becomes_lists_and_databases(own, tmp_path, layer_run):
    out = tmp_path / "out"
    done = run("--source", own.root, "--out", out, "--fraction", "val=0.2", "--fraction", "test=0.3")
    assert done.exit_code == 0, done.output
    lists = {split: read_list(out / f"lists/folder_{split}.txt") for split in ("train", "val", "test")}
    assert [len(ids) for ids in lists.values()] == [5, 2, 3]
    assert sorted(sum(lists.values(), [])) == sorted(IDS)
    manifest = json.loads((out / "folder_train/manifest.json").read_text())
    assert manifest["settings"]["names"] == ["sky", "road sign", "car", "person"]
    counts = np.bincount(np.concatenate([own.labels[one].ravel() for one in lists["train"]]))
    assert manifest["pixels"] == {str(value): int(count) for value, count in enumerate(counts) if count}
    paths = {f"{kind}_lmdb": str(out / f"folder_train/{kind}_lmdb") for kind in ("image", "label")}
    samples = layer_run(LMDBSegDataLayer, split="all", mean=(0, 0, 0), classes=4, **paths).take(5)
    for one, (data, label) in zip(lists["train"], samples, strict=True):
        file = next(own.root.glob(f"images/{one}.*"))
        np.testing.assert_array_equal(data[0], np.array(Image.open(file))[:, :, ::-1].transpose(2, 0, 1))
        np.testing.assert_array_equal(label[0, 0], own.labels[one])
    again = run("--source", own.root, "--out", out, "--fraction", "val=0.2", "--fraction", "test=0.3")
    assert again.stdout.count("already there") == 3


def test_a_worker_process_gets_the_same_folder(own):
    folder = user_folder(own.root, void=7, dataset="mine")
    assert pickle.loads(pickle.dumps(folder)) == folder


def test_lists_of_ones_own(own, tmp_path):
    write_list(own.root / "train.txt", IDS[3:6])
    write_list(own.root / "other.txt", ["night/b"])
    done = run("--source", own.root, "--out", tmp_path / "out", "--name", "mine")
    assert done.exit_code == 0, done.output
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name != "lists"] == ["mine_train"]
    assert run("--source", own.root, "--out", tmp_path / "2", "--split", "other").exit_code == 0
    assert run("--source", own.root, "--out", tmp_path / "2", "--list-file", own.root / "train.txt").exit_code == 0
    assert list(LMDBReader(tmp_path / "2/folder_other/label_lmdb").keys()) == [b"00000000_night/b"]
    assert LMDBReader(tmp_path / "2/folder_train/label_lmdb").keys_count == 3


def test_lists_that_share_images_are_warned_of_and_made(own, tmp_path):
    write_list(own.root / "train.txt", IDS[:5])
    write_list(own.root / "val.txt", IDS[3:7])
    write_list(own.root / "test.txt", IDS[7:])
    done = run("--source", own.root, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert f"warning: train and val share 2 images, the first '{IDS[3]}'; what is measured on the one" in done.stderr
    assert done.stderr.count("warning:") == 1
    assert LMDBReader(tmp_path / "out/folder_val/label_lmdb").keys_count == 4


def test_another_void_value_becomes_255(own):
    folder = user_folder(own.root, void=2)
    path = folder.label_path(IDS[0])
    path.write_bytes(encode_label(np.array([[0, 1], [2, 3]], np.uint8)))
    assert folder.read_label(IDS[0]).tolist() == [[0, 1], [255, 3]]
    path.write_bytes(encode_label(np.array([[0, 1], [2, 255]], np.uint8)))
    with pytest.raises(DataError, match=r"scene00\.png': value 255 at row 1, column 1 is outside .* 3 \(void is 2\)"):
        folder.read_label(IDS[0])
    with pytest.raises(DataError, match=r"value 255 at row 1, column 1 is outside .* 3 \(there is no void\)"):
        user_folder(own.root, void=None).read_label(IDS[0])


def test_classes_that_never_occur_are_told(own, tmp_path):
    for one in IDS:
        label = own.labels[one]
        label[(label == 1) | (label == 3)] = 0
        (own.root / "labels" / f"{one}.png").write_bytes(encode_label(label))
    arguments = ("--source", own.root, "--fraction", "val=0.5")
    done = run(*arguments, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "train: no pixel of class 1 (road sign), 3 (person)\n" in done.stderr
    assert "val: no pixel of class 1 (road sign), 3 (person)\n" in done.stderr
    (own.root / "classes.txt").unlink()
    done = run(*arguments, "--out", tmp_path / "2", "--classes", "4")
    assert "train: no pixel of class 1, 3\n" in done.stderr
    for one in IDS:
        label = own.labels[one]
        label[label == 255] = 0
        (own.root / "labels" / f"{one}.png").write_bytes(encode_label(label))
    done = run(*arguments, "--out", tmp_path / "3", "--classes", "4", "--void", "1")
    assert "train: no pixel of class 3\n" in done.stderr


def test_faulty_samples_are_named_and_counted(own, tmp_path):
    labels = own.root / "labels"
    (labels / "scene00.png").unlink()
    Image.new("RGB", (23, 28), (128, 0, 0)).save(labels / "scene01.png")
    (labels / "scene02.png").write_bytes(encode_label(np.zeros((4, 5), np.uint8)))
    own.labels["scene03"][7, 8] = 4
    (labels / "scene03.png").write_bytes(encode_label(own.labels["scene03"]))
    (labels / "scene04.png").write_bytes(b"x")
    broken = next(own.images.glob("scene05.*"))
    broken.write_bytes(b"x")
    Image.new("RGB", (5, 5)).save(own.images / "scene06.tif")
    write_list(own.root / "train.txt", [*IDS, "scene99"])
    done = run("--source", own.root, "--out", tmp_path / "out")
    assert done.exit_code == 1
    for message in (
        "scene00.png' is missing; add it, or take its id out of the list",
        "scene01.png' is an image of mode RGB; wanted class numbers, as a palette or grey PNG",
        "scene02.png' is 5 x 4 pixels (width x height) but image",
        "scene03.png': value 4 at row 7, column 8 is outside the classes 0 to 3 (void is 255)",
        "scene04.png' is damaged or not an image",
        f"image '{broken}' is damaged or not an image",
        "have one name; rename or remove one of them",
        "scene99.jpg' is missing",
        "8 faulty samples",
    ):
        assert message in done.output
    strict = run("--source", own.root, "--out", tmp_path / "out", "--strict")
    assert strict.exit_code == 1
    assert "scene00.png' is missing" in strict.output
    assert "scene01" not in strict.output


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda root: (root / "labels").rename(root / "masks"), (), "lacks the folder labels; found 'classes.txt'"),
        (lambda root: (root / "classes.txt").unlink(), (), "are not known; name them with --names, or count them"),
        (None, ("--classes", "5"), "classes.txt' names 4 classes, but --classes is 5; correct one of them"),
        (lambda root: (root / "classes.txt").write_text("a\nb\na\n"), (), "'a' comes twice; give each class a name of"),
        (lambda root: (root / "classes.txt").write_text("a\n"), (), "1 names; wanted 2 to 255, one to a line"),
        (lambda root: (root / "classes.txt").write_bytes(b"\xff"), (), "classes.txt' cannot be read"),
        (None, ("--names", "nowhere.txt"), "names of classes 'nowhere.txt' cannot be read"),
        (None, (), "has no train.txt or val.txt or test.txt; name a list with --list-file, or divide the images"),
        (
            None,
            ("--fraction", "val=0.2", "--split", "a"),
            "--fraction divides all images, so that no list can be named",
        ),
        (None, ("--fraction", "val=1.0"), "fractions val=1.0: wanted shares above 0 and together below 1"),
        (None, ("--fraction", "val=0.01"), "of 10 images none are left for val; give other fractions"),
        (lambda root: (root / "images/a b.jpg").touch(), ("--fraction", "val=0.2"), "image 'a b' in '"),
        (
            lambda root: next(root.glob("images/scene01.*")).unlink(),
            ("--fraction", "val=0.2"),
            "1 labels in '{root}/labels' have no image in '{root}/images', the first 'scene01.png'; add the images",
        ),
        (
            lambda root: (root / "empty").mkdir(),
            ("--image-dir", "empty", "--fraction", "val=0.2"),
            "holds no images (.jpg",
        ),
    ],
)
def test_what_cannot_be_prepared_says_why(own, tmp_path, change, arguments, message):
    if change is not None:
        change(own.root)
    done = run("--source", own.root, "--out", tmp_path / "out", *arguments)
    assert done.exit_code == 1
    assert message.replace("{root}", str(own.root)) in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fraction", "val"), "'val' is not LIST=SHARE, such as val=0.2"),
        (("--fraction", "a/b=0.2"), "'a/b=0.2' is not LIST=SHARE"),
        (("--fraction", "val=0.2", "--fraction", "val=0.3"), "val is given two shares"),
        (("--name", "a/b"), "'a/b' is to be part of file names: letters, digits, _ and - only"),
    ],
)
def test_options_are_checked(own, tmp_path, arguments, message):
    done = run("--source", own.root, "--out", tmp_path / "out", *arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_a_division_hangs_on_the_seed_and_hardly_on_other_samples():
    ids = [f"image{i}" for i in range(200)]
    lists = divide(ids, {"val": 0.1, "test": 0.2}, seed=0)
    assert {name: len(chosen) for name, chosen in lists.items()} == {"train": 140, "val": 20, "test": 40}
    assert lists == divide(ids, {"val": 0.1, "test": 0.2}, seed=0)
    assert lists["val"] == sorted(lists["val"], key=ids.index)
    assert lists["val"] != divide(ids, {"val": 0.1, "test": 0.2}, seed=1)["val"]
    more = divide([*ids, "another"], {"val": 0.1, "test": 0.2}, seed=0)
    assert len(set(more["val"]) ^ set(lists["val"])) <= 2


@pytest.mark.parametrize("fractions", [{"train": 0.5}, {"val": -0.5}, {"val": 0.5, "test": 0.5}])
def test_fractions_outside_are_refused(fractions):
    with pytest.raises(DataError, match="wanted shares above 0 and together below 1, of other lists than train"):
        divide(["a", "b"], fractions, seed=0)


def test_more_classes_than_a_byte_holds_beside_void_are_refused(own):
    (own.root / "classes.txt").unlink()
    assert isinstance(user_folder(own.root, classes=256, void=None), UserFolder)
    with pytest.raises(DataError, match="256 classes leave no number for void; there may be 255 at most"):
        user_folder(own.root, classes=256)
