"""SIFT Flow in miniature, in its published layout: to LMDBs, and into a net from the files and from the LMDBs."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner
from PIL import Image

import caffe_compat
from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.datum import datum_to_array, parse_datum
from data_prep import layers
from data_prep.cli import main
from data_prep.layers_siftflow import SIFTFlowLMDBSegDataLayer, SIFTFlowSegDataLayer
from data_prep.lists import read_list
from data_prep.siftflow import UNANNOTATED, SIFTFlowFolder

SCENES = "spatial_envelope_256x256_static_8outdoorcategories"
TRAIN = ["coast_natu975", "street_par29", "forest_for114", "highway_gre37", "mountain_nat57"]
TEST = ["coast_sun14", "street_urb885"]
MEAN = (114.578, 115.294, 108.353)


def run(*arguments):
    return CliRunner().invoke(main, ["siftflow", *map(str, arguments)])


@pytest.fixture(scope="module")
def drawn_once(tmp_path_factory, draw_siftflow):
    folder = tmp_path_factory.mktemp("siftflow") / "SiftFlowDataset"
    return SimpleNamespace(root=folder, truth=draw_siftflow(folder, TRAIN, TEST))


@pytest.fixture
def drawn(drawn_once, tmp_path):
    """The miniature, in a folder of the test's own: ``root``, ``truth`` (data, sem, geo by id), ``file``."""
    root = tmp_path / "SiftFlowDataset"
    shutil.copytree(drawn_once.root, root)

    def file(part, one):
        return root / part / SCENES / f"{one}.{'jpg' if part == 'Images' else 'mat'}"

    return SimpleNamespace(root=root, truth=drawn_once.truth, file=file)


def test_the_verb_makes_three_databases_keyed_alike(drawn, tmp_path):
    done = run("--source", tmp_path, "--out", tmp_path / "out", "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert [line.split()[:3] for line in done.stdout.splitlines()[-2:]] == [
        ["trainval", "5", "2486"],
        ["test", "2", "200"],
    ]
    assert read_list(tmp_path / "out/lists/siftflow_trainval.txt") == TRAIN
    for position, one in enumerate(TRAIN):
        key = f"{position:08d}_{one}".encode()
        data, *labels = drawn.truth[one]
        for name, label in zip(("sem_lmdb", "geo_lmdb"), labels, strict=True):
            stored = parse_datum(LMDBReader(tmp_path / "out/siftflow_trainval" / name).get(key), name)
            np.testing.assert_array_equal(datum_to_array(stored)[None], label)
        image = parse_datum(LMDBReader(tmp_path / "out/siftflow_trainval/image_lmdb").get(key), "image")
        assert image.data == drawn.file("Images", one).read_bytes()
    manifest = json.loads((tmp_path / "out/siftflow_trainval/manifest.json").read_text())
    assert manifest["sizes"] == {"256x256": 5}
    counts = np.bincount(np.concatenate([drawn.truth[one][1].ravel() for one in TRAIN]))
    assert manifest["pixels"] == {str(value): int(count) for value, count in enumerate(counts) if count}
    assert manifest["databases"]["sem_lmdb"]["pixels"] == manifest["pixels"]
    geometric = np.bincount(np.concatenate([drawn.truth[one][2].ravel() for one in TRAIN]))
    wanted = {str(value): int(count) for value, count in enumerate(geometric) if count}
    assert manifest["databases"]["geo_lmdb"]["pixels"] == wanted
    assert manifest["databases"]["geo_lmdb"]["classes"] == 3
    again = run("--source", drawn.root, "--out", tmp_path / "out", "--verify")
    assert again.stdout.count("verified") == 2


def test_a_changed_geometric_label_is_noticed(drawn, tmp_path):
    assert run("--source", drawn.root, "--out", tmp_path / "out", "--split", "test").exit_code == 0
    scipy.io.savemat(drawn.file("GeoLabels", TEST[1]), {"S": np.ones((256, 256), np.int16)})
    again = run("--source", drawn.root, "--out", tmp_path / "out", "--split", "test")
    assert again.exit_code == 1
    assert "the source files have changed since" in again.output


def net_of(tmp_path, layer, params):
    (tmp_path / "net.prototxt").write_text(
        f"""layer {{ name: "data" type: "Python" top: "data" top: "sem" top: "geo"
            python_param {{ module: "siftflow_layers" layer: "{layer}" param_str: "{params}" }} }}"""
    )
    return caffe_compat.Net(str(tmp_path / "net.prototxt"), caffe_compat.TEST)


def samples(net, count):
    taken = []
    for _ in range(count):
        net.forward()
        taken.append([net.blobs[top].data.copy() for top in ("data", "sem", "geo")])
    return taken


@pytest.mark.parametrize("labels", ["raw", "png"])
def test_a_net_reads_the_same_from_files_and_databases(drawn, tmp_path, labels, equal):
    assert run("--source", drawn.root, "--out", tmp_path / "out", "--labels", labels).exit_code == 0
    layers.register_released_names()
    files = net_of(tmp_path, "SIFTFlowSegDataLayer", {"siftflow_dir": str(drawn.root), "split": "test"})
    stored = {"lmdb_dir": str(tmp_path / "out/siftflow_test"), "split": "test"}
    want = [drawn.truth[one] for one in [*TEST, TEST[0]]]
    equal(samples(files, 3), want)
    equal(samples(net_of(tmp_path, "SIFTFlowLMDBSegDataLayer", stored), 3), want)


def test_equal_seeds_give_equal_orders_and_a_saved_state_goes_on(drawn, tmp_path, layer_run):
    import random

    assert run("--source", drawn.root, "--out", tmp_path / "out").exit_code == 0
    stream = random.Random(1337)
    draws = [TRAIN[stream.randint(0, len(TRAIN) - 1)] for _ in range(9)]
    first = layer_run(SIFTFlowSegDataLayer, siftflow_dir=str(drawn.root), split="trainval", seed=1337)
    first.gives([drawn.truth[one] for one in draws[:4]])
    state = json.loads(json.dumps(first.layer.state_dict()))
    other = layer_run(
        SIFTFlowLMDBSegDataLayer, lmdb_dir=str(tmp_path / "out/siftflow_trainval"), split="trainval", seed=2
    )
    other.take(1)
    other.layer.load_state_dict(state)
    other.gives([drawn.truth[one] for one in draws[4:]])
    in_order = layer_run(SIFTFlowSegDataLayer, siftflow_dir=str(drawn.root), split="trainval", randomize=False)
    in_order.gives([drawn.truth[one] for one in [*TRAIN, TRAIN[0]]])


def semantic(**changes):
    label = np.ones((256, 256), changes.pop("dtype", np.uint8))
    label[3, 4] = changes.pop("value", 1)
    return {changes.pop("variable", "S"): label}


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("Images", None, r"image '.*coast_sun14\.jpg' is missing; unpack SIFT Flow again"),
        ("SemanticLabels", None, r"label '.*SemanticLabels.*coast_sun14\.mat' is missing; unpack SIFT Flow again"),
        ("GeoLabels", None, r"geometric label '.*GeoLabels.*coast_sun14\.mat' is missing; unpack SIFT Flow again"),
        ("Images", b"x", r"image '.*coast_sun14\.jpg' is damaged or not an image"),
        ("SemanticLabels", b"x", r"label '.*coast_sun14\.mat' is damaged or not a MATLAB file"),
        ("SemanticLabels", semantic(value=34), r"label '.*': value 34 at row 3, column 4 is outside 0 to 33; so are 1"),
        ("SemanticLabels", semantic(value=1.5, dtype=float), "value 1.5 at row 3, column 4 is outside 0 to 33"),
        ("SemanticLabels", semantic(value=np.nan, dtype=float), "value nan at row 3, column 4 is outside 0 to 33"),
        ("GeoLabels", semantic(value=-2, dtype=np.int16), "GeoLabels.*value -2 at row 3, column 4 is outside -1 to 3"),
        ("GeoLabels", semantic(value=4), "GeoLabels.*value 4 at row 3, column 4 is outside -1 to 3; .* 65536 pixels"),
        ("GeoLabels", semantic(variable="T"), r"label '.*' has no variable S \(it holds T\); replace the file"),
        ("GeoLabels", {"S": np.ones((2, 2, 2))}, "S is 3-D float64; wanted an H x W array of class numbers"),
        ("SemanticLabels", {"S": np.ones((256, 255))}, r"is 255 x 256 pixels \(width x height\) but image '.*' is"),
        (
            "GeoLabels",
            {"S": np.ones((255, 256))},
            "^geometric label .*GeoL.*is 256 x 255 pixels .* but image '.*' is 256 x",
        ),
    ],
)
def test_a_faulty_file_is_named(drawn, tmp_path, part, content, message, layer_run):
    file = drawn.file(part, TEST[0])
    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        scipy.io.savemat(file, content)
    with pytest.raises(DataError, match=message):
        layer_run(SIFTFlowSegDataLayer, siftflow_dir=str(drawn.root), split="test")
    for build in ("--lmdb", "--no-lmdb"):
        done = run("--source", drawn.root, "--out", tmp_path / "out", build)
        assert done.exit_code == 1
        assert f"test {TEST[0]}: " in done.output
        assert "1 faulty sample" in done.output
    assert not (tmp_path / "out/siftflow_test").exists()
    assert (tmp_path / "out/siftflow_trainval").exists()


def test_a_scene_of_another_size_is_refused(drawn, layer_run):
    Image.new("RGB", (240, 256)).save(drawn.file("Images", TEST[0]))
    for part in ("SemanticLabels", "GeoLabels"):
        scipy.io.savemat(drawn.file(part, TEST[0]), {"S": np.ones((256, 240))})
    with pytest.raises(
        DataError, match=r"sun14\.jpg' is 240 x 256 pixels \(width x height\); SIFT Flow's are 256 x 256"
    ):
        layer_run(SIFTFlowSegDataLayer, siftflow_dir=str(drawn.root), split="test")


def test_a_wrong_folder_says_what_was_looked_for(drawn, tmp_path):
    (tmp_path / "empty").mkdir()
    done = run("--source", tmp_path / "empty", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "no SIFT Flow dataset at '" in done.output
    assert "found an empty folder; give the folder that SiftFlowDataset.zip unpacks to" in done.output
    shutil.rmtree(drawn.root / "GeoLabels")
    done = run("--source", drawn.root, "--out", tmp_path / "out")
    assert f"lacks GeoLabels/{SCENES}; found 'Images', 'SemanticLabels'" in done.output
    assert not (tmp_path / "out").exists()


def test_the_archive_and_the_released_lists_side_by_side(drawn, tmp_path):
    release = tmp_path / "DATA/sift-flow"
    release.mkdir(parents=True)
    for name in ("trainval.txt", "test.txt"):
        (drawn.root / name).rename(release / name)
    drawn.root.rename(release / "SiftFlowDataset")
    done = run("--source", tmp_path / "DATA", "--out", tmp_path / "out", "--no-lmdb")
    assert done.exit_code == 0, done.output
    for name in ("trainval", "test"):
        assert read_list(tmp_path / f"out/lists/siftflow_{name}.txt") == read_list(release / f"{name}.txt")


def test_missing_lists_are_asked_for_and_may_be_named(drawn, tmp_path):
    (drawn.root / "trainval.txt").unlink()
    (drawn.root / "test.txt").rename(tmp_path / "mine.txt")
    done = run("--source", drawn.root, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "has no trainval or test list; name a list with --split or --list-file" in done.output
    done = run("--source", drawn.root, "--out", tmp_path / "out", "--list-file", tmp_path / "mine.txt")
    assert done.exit_code == 0, done.output
    assert LMDBReader(tmp_path / "out/siftflow_mine/geo_lmdb").keys_count == 2


def test_without_lists_they_are_made_of_the_datasets_own(drawn, tmp_path, layer_run):
    """TestSet1.txt: Windows paths; the rest but two unannotated images is for training."""
    for split in ("trainval", "test"):
        (drawn.root / f"{split}.txt").unlink()
    (drawn.root / "TestSet1.txt").write_bytes("".join(f"{SCENES}\\{one}.jpg\r\n" for one in TEST).encode())
    shutil.copy(drawn.file("Images", TEST[0]), drawn.file("Images", "highway_bost181"))
    done = run("--source", drawn.root, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert read_list(tmp_path / "out/lists/siftflow_trainval.txt") == sorted(TRAIN)
    assert read_list(tmp_path / "out/lists/siftflow_test.txt") == TEST
    layer_run(SIFTFlowSegDataLayer, siftflow_dir=str(drawn.root), split="test").gives(
        [drawn.truth[one] for one in TEST]
    )


def test_lists_of_the_published_sizes_are_the_released_ones(realdata, tmp_path):
    released = {split: read_list(realdata / "lists" / f"sift-flow_{split}.txt") for split in ("trainval", "test")}
    images = tmp_path / "Images" / SCENES
    images.mkdir(parents=True)
    for one in [*released["trainval"], *released["test"], *UNANNOTATED]:
        (images / f"{one}.jpg").touch()
    folder = SIFTFlowFolder(tmp_path)
    lines = [f"{SCENES}\\{one}.jpg" for one in released["test"]]
    (tmp_path / "TestSet1.txt").write_text("\n".join(lines))
    assert folder.ids("test") == released["test"]
    assert folder.ids("trainval") == sorted(released["trainval"])
    lines[7] = f"{SCENES}\\{released['trainval'][0]}.jpg"
    (tmp_path / "TestSet1.txt").write_text("\n".join(lines))
    for split in ("trainval", "test"):
        with pytest.raises(DataError, match=rf"images for {split}, but not those of the FCN release; put its list"):
            folder.ids(split)


def test_wrong_tops_and_parameters_are_refused(drawn, layer_run):
    layer = SIFTFlowSegDataLayer()
    with pytest.raises(LayerError, match="2 tops given; it makes three: data, sem and geo"):
        layer.setup([], [Blob(), Blob()])
    with pytest.raises(
        DataError, match="SIFTFlowSegDataLayer: param_str has no key 'mean'; the known keys: siftflow_d"
    ):
        layer_run(SIFTFlowSegDataLayer, siftflow_dir=str(drawn.root), split="test", mean=MEAN)


def test_databases_of_other_lists_or_values_are_refused(drawn, tmp_path, layer_run):
    out = tmp_path / "out"
    assert run("--source", drawn.root, "--out", out).exit_code == 0
    shutil.move(out / "siftflow_test/geo_lmdb", tmp_path / "geo_lmdb")
    with pytest.raises(DataError, match="there is no such LMDB folder"):
        layer_run(SIFTFlowLMDBSegDataLayer, lmdb_dir=str(out / "siftflow_test"), split="test")
    shutil.copytree(out / "siftflow_trainval/geo_lmdb", out / "siftflow_test/geo_lmdb")
    with pytest.raises(DataError, match="are not keyed alike: key "):
        layer_run(SIFTFlowLMDBSegDataLayer, lmdb_dir=str(out / "siftflow_test"), split="test")
    shutil.rmtree(out / "siftflow_test/geo_lmdb")
    shutil.copytree(out / "siftflow_test/sem_lmdb", out / "siftflow_test/geo_lmdb")
    with pytest.raises(DataError, match="label '.*geo_lmdb, key 0.*': value .* is outside the classes 0 to 2"):
        layer_run(SIFTFlowLMDBSegDataLayer, lmdb_dir=str(out / "siftflow_test"), split="test")
