"""NYU Depth V2 in miniature, in the published files' form: to folders and LMDBs, and from these into a net."""

import json
import re
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

import caffe_compat
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.datum import datum_to_array, parse_datum
from data_prep import layers
from data_prep.hha import CAMERAS, encode_hha
from data_prep.layers_nyud import MEAN_BGR, MEAN_HHA
from data_prep.nyud_mat import LabeledMat
from data_prep.nyud_records import NYUDRecords
from data_prep.png_files import write_png

ROOT = Path(__file__).resolve().parents[2]
CROP = np.s_[45:470, 40:600]


def millimetres(metres):
    """As MATLAB: the product of singles is a single, and uint16() rounds halves away from zero."""
    product = (metres * np.float32(1000)).astype(float)
    return np.where(product % 1 >= 0.5, np.ceil(product), np.floor(product))


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(nyud_source, tmp_path_factory, run):
    """The miniature, converted in two processes."""
    out = tmp_path_factory.mktemp("nyud") / "out"
    done = run("nyud", "--source", nyud_source.folder, "--out", out, "--jobs", "2")
    assert done.exit_code == 0, done.output
    return out


def test_each_frame_becomes_the_files_that_the_release_reads(nyud_source, made):
    for index in range(4):
        name = f"img_{5001 + index}"
        frame = nyud_source.frames[index]
        read = {kind: np.array(Image.open(made / "data" / kind / f"{name}.png")) for kind in ("images", "depth", "hha")}
        raw = np.array(Image.open(made / "data/rawdepth" / f"{name}.png"))
        np.testing.assert_array_equal(read["images"], frame["image"][CROP])
        assert read["depth"].dtype == np.uint16
        np.testing.assert_array_equal(read["depth"], millimetres(frame["depth"][CROP]))
        halves = (frame["depth"][CROP] * np.float32(1000)) % 1 == 0.5
        assert halves.any(), "frames have depths that end in a half"
        np.testing.assert_array_equal(raw, millimetres(frame["raw"][CROP]))
        want = encode_hha(read["depth"] / 1000, raw == 0, CAMERAS["color-cropped"])
        np.testing.assert_array_equal(read["hha"], want)
        segmentation = scipy.io.loadmat(made / "segmentation" / f"{name}.mat")["segmentation"]
        assert segmentation.dtype == np.uint8
        np.testing.assert_array_equal(segmentation, np.append(0, nyud_source.map_class)[frame["labels"][CROP]])


def test_the_lists_are_those_of_the_splits_under_fcns_names(made):
    assert (made / "trainval.txt").read_text() == "5003\n5001\n5004\n"
    assert (made / "test.txt").read_text() == "5002\n"
    assert (made / "classes.txt").read_text().splitlines()[:2] == ["class 1", "class 2"]
    manifest = json.loads((made / "nyud_trainval/manifest.json").read_text())
    assert list(manifest["databases"]) == ["image_lmdb", "depth_lmdb", "hha_lmdb", "label_lmdb"]
    assert manifest["settings"]["hha_channels"] == "disparity, height, angle"
    assert manifest["count"] == 3


def test_records_hold_the_files_without_loss(made):
    for position, one in enumerate(["5003", "5001", "5004"]):
        key = f"{position:08d}_{one}".encode()
        value = {
            kind: datum_to_array(parse_datum(LMDBReader(made / f"nyud_trainval/{kind}_lmdb").get(key), kind))
            for kind in ("image", "depth", "hha", "label")
        }
        for kind, folder in (("image", "images"), ("depth", "depth"), ("hha", "hha")):
            file = np.array(Image.open(made / f"data/{folder}/img_{one}.png"))
            planes = file[None] if file.ndim == 2 else file.transpose(2, 0, 1)
            np.testing.assert_array_equal(value[kind], planes[::-1] if kind == "image" else planes)
        segmentation = scipy.io.loadmat(made / f"segmentation/img_{one}.mat")["segmentation"].astype(int)
        np.testing.assert_array_equal(value["label"][0], np.where(segmentation == 0, 255, segmentation - 1))


def net_of(tmp_path, layer, params):
    tops = "".join(f' top: "{top}"' for top in params["tops"])
    (tmp_path / "net.prototxt").write_text(
        f"""layer {{ name: "data" type: "Python"{tops}
            python_param {{ module: "nyud_layers" layer: "{layer}" param_str: "{params}" }} }}"""
    )
    return caffe_compat.Net(str(tmp_path / "net.prototxt"), caffe_compat.TEST)


def samples(net, tops, count):
    taken = []
    for _ in range(count):
        net.forward()
        taken.append({top: net.blobs[top].data.copy() for top in tops})
    return taken


@pytest.mark.parametrize("randomize", [True, False])
def test_a_net_reads_the_same_from_files_and_databases(made, tmp_path, randomize):
    layers.register_released_names()
    common = {"split": "trainval", "tops": ["color", "depth", "hha", "label"], "seed": 1337, "randomize": randomize}
    files = net_of(tmp_path, "NYUDSegDataLayer", {"nyud_dir": str(made), **common})
    stored = net_of(tmp_path, "NYUDLMDBSegDataLayer", {"lmdb_dir": str(made / "nyud_trainval"), **common})
    ours, theirs = (samples(net, common["tops"], 5) for net in (files, stored))
    for one, other in zip(ours, theirs, strict=True):
        for top in common["tops"]:
            np.testing.assert_array_equal(one[top], other[top])
    if not randomize:
        image = np.array(Image.open(made / "data/images/img_5003.png")).astype(np.float32)
        np.testing.assert_allclose(
            ours[0]["color"][0], (image[:, :, ::-1] - np.float32(MEAN_BGR)).transpose(2, 0, 1), atol=1e-5
        )
        hha = np.array(Image.open(made / "data/hha/img_5003.png")).astype(np.float32)
        np.testing.assert_allclose(ours[0]["hha"][0], (hha - np.float32(MEAN_HHA)).transpose(2, 0, 1), atol=1e-5)
        depth = np.array(Image.open(made / "data/depth/img_5003.png"))
        np.testing.assert_allclose(ours[0]["depth"][0, 0], np.log(depth.astype(float)) - 7.844, atol=1e-5)
        assert ours[0]["label"].shape == (1, 1, 425, 560)
        assert set(np.unique(ours[0]["label"])) <= {*range(40), 255}


def test_a_second_run_makes_nothing_again_and_mends_what_is_gone(nyud_source, made, run):
    before = stamps(made / "data") | stamps(made / "segmentation")
    gone = made / "data/hha/img_5003.png"
    content = gone.read_bytes()
    gone.write_bytes(content[:100])
    again = run("nyud", "--source", nyud_source.folder, "--out", made)
    assert again.exit_code == 0, again.output
    assert again.output.count("already there") == 2
    assert gone.read_bytes() == content
    after = stamps(made / "data") | stamps(made / "segmentation")
    changed = {path for path in after if after[path] != before.get(path)}
    assert {path.stem for path in changed} == {"img_5003"}


def test_the_folder_alone_is_a_source_and_pngs_of_16_bits_are_a_form(made, tmp_path, run):
    done = run(
        "nyud", "--source", made, "--out", tmp_path / "o", "--depths", "png", "--labels", "png", "--images", "raw"
    )
    assert done.exit_code == 0, done.output
    layers.register_released_names()
    params = {"split": "trainval", "tops": ["label", "color", "depth"], "seed": 1}
    small = net_of(tmp_path, "NYUDLMDBSegDataLayer", {"lmdb_dir": str(tmp_path / "o/nyud_trainval"), **params})
    files = net_of(tmp_path, "NYUDSegDataLayer", {"nyud_dir": str(made), **params})
    for one, other in zip(samples(small, params["tops"], 4), samples(files, params["tops"], 4), strict=True):
        for top in params["tops"]:
            np.testing.assert_array_equal(one[top], other[top])
    before = {path.name for path in (tmp_path / "o").iterdir()}
    assert before == {"nyud_trainval", "nyud_test"}


def test_the_folder_of_all_data_is_a_source_with_files_made_in_it_too(nyud_source, tmp_path, run):
    (tmp_path / "nyud_v2").symlink_to(nyud_source.folder)
    for state in ("written", "already there"):
        done = run("nyud", "--source", tmp_path, "--out", tmp_path / "nyud", "--no-lmdb", "--split", "test")
        assert re.search(rf"^files .* {state} ", done.output, re.MULTILINE)


def test_one_list_of_many(made, nyud_source, tmp_path, run):
    for source, out in ((made, tmp_path / "of_files"), (nyud_source.folder, tmp_path / "of_mat")):
        done = run("nyud", "--source", source, "--out", out, "--split", "test")
        assert done.exit_code == 0, done.output
        assert {path.name for path in out.glob("nyud_*")} == {"nyud_test"}
    done = run("nyud", "--source", nyud_source.folder, "--out", tmp_path / "o", "--split", "val")
    assert "has the lists trainval and test, not 'val'; FCN's train and val are files: name them with" in done.output
    assert "'python -m data_prep download nyud-fcn --out DATA' gets it" in done.output


def test_hha_as_png_is_decoded_to_the_same_channels(made, tmp_path, run):
    """By Caffe's rules, which turn a PNG's red, green, blue into blue, green, red."""
    done = run("nyud", "--source", made, "--out", tmp_path / "o", "--hha", "png", "--verify")
    assert done.exit_code == 0, done.output
    for one in ("5003", "5001", "5004"):
        position = ["5003", "5001", "5004"].index(one)
        stored = [
            parse_datum(LMDBReader(folder / "nyud_trainval/hha_lmdb").get(f"{position:08d}_{one}".encode()), "hha")
            for folder in (made, tmp_path / "o")
        ]
        assert [datum.encoded for datum in stored] == [False, True]
        np.testing.assert_array_equal(datum_to_array(stored[0]), datum_to_array(stored[1]))
        assert len(stored[1].data) < len(stored[0].data)
    layers.register_released_names()
    params = {"split": "trainval", "tops": ["hha", "label"], "seed": 1}
    small = net_of(tmp_path, "NYUDLMDBSegDataLayer", {"lmdb_dir": str(tmp_path / "o/nyud_trainval"), **params})
    files = net_of(tmp_path, "NYUDSegDataLayer", {"nyud_dir": str(made), **params})
    for one, other in zip(samples(small, params["tops"], 3), samples(files, params["tops"], 3), strict=True):
        np.testing.assert_array_equal(one["hha"], other["hha"])


def test_the_whole_range_of_16_bits_is_kept(made, tmp_path, run):
    """Depth of 1 to 65,535 mm through floats and through 16-bit PNGs."""
    shutil.copytree(made, tmp_path / "in", ignore=shutil.ignore_patterns("nyud_*", "*.json*"))
    depth = (np.arange(425 * 560) % 65535 + 1).astype(np.uint16).reshape(425, 560)
    write_png(tmp_path / "in/data/depth/img_5002.png", depth)
    for form in ("float", "png"):
        out = tmp_path / form
        done = run("nyud", "--source", tmp_path / "in", "--out", out, "--depths", form, "--verify")
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(NYUDRecords(out / "nyud_test", ["depth"]).read_depth_mm("5002"), depth)


def test_a_killed_run_goes_on_where_it_stopped(nyud_source, made, tmp_path, run):
    """SIGKILL once the second HHA file is there; what is there is whole, and the next run ends with the same files."""
    out = tmp_path / "out"
    code = (
        "import data_prep.nyud_export as e, os, signal\n"
        "write = e.write_png\n"
        "def dying(path, image, mark):\n"
        "    write(path, image, mark)\n"
        "    if path.name == 'img_5001.png' and path.parent.name == 'depth':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "e.write_png = dying\n"
        "from data_prep.cli import main\n"
        f"main(['nyud', '--source', {str(nyud_source.folder)!r}, '--out', {str(out)!r}])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    assert not (out / "nyud_trainval").exists()
    assert (out / "segmentation/img_5003.mat").exists()
    assert not (out / "segmentation/img_5001.mat").exists()
    before = (out / "data/hha/img_5003.png").stat().st_mtime_ns
    done = run("nyud", "--source", nyud_source.folder, "--out", out)
    assert done.exit_code == 0, done.output
    assert (out / "data/hha/img_5003.png").stat().st_mtime_ns == before
    for path in made.rglob("*.png"):
        assert (out / path.relative_to(made)).read_bytes() == path.read_bytes()
    a, b = (LMDBReader(one / "nyud_trainval/hha_lmdb") for one in (made, out))
    assert [(key, a.get(key)) for key in a.keys()] == [(key, b.get(key)) for key in b.keys()]


def test_no_more_than_a_frame_is_read_at_once(huge_source):
    """Of arrays of 1,449 frames (5.8 GB); what HDF5 itself keeps are its chunk caches, 1 MB to an array."""
    mat = LabeledMat(huge_source / "nyu_depth_v2_labeled.mat")
    assert mat.count == 1449
    frame_bytes = 480 * 640 * (3 + 4 + 4 + 2)
    tracemalloc.start()
    try:
        for image_id in ("5001", "6449"):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            mat.read(image_id)
            assert frame_bytes <= tracemalloc.get_traced_memory()[1] - before < 1.1 * frame_bytes
    finally:
        tracemalloc.stop()


def test_memory_stays_small_with_a_file_of_the_published_size(huge_source, tmp_path):
    """All 1,449 frames are in the file's arrays; two of them are asked for."""
    (tmp_path / "few.txt").write_text("5001\n6449\n")
    code = (
        "from data_prep.cli import main\n"
        "arguments = "
        f"['nyud', '--source', {str(huge_source)!r}, '--out', {str(tmp_path / 'out')!r}, "
        f"'--list-file', {str(tmp_path / 'few.txt')!r}]\n"
        "main(arguments, standalone_mode=False)\n"
        "status = open('/proc/self/status').read()\n"  # ru_maxrss would begin at the peak of the process that forked
        "print('KB', status.partition('VmHWM:')[2].split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kilobytes = int(done.stdout.rsplit("KB", 1)[1])
    assert 0 < kilobytes < 500 * 1024
    assert LMDBReader(tmp_path / "out/nyud_few/hha_lmdb").keys_count == 2
