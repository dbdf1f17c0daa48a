"""Statistics of datasets and of what was made of them: equal to NumPy's over all pixels, beside the released means."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from caffe_compat.proto.blobs import read_blobproto
from data_prep.contents import Contents
from data_prep.lists import read_list, write_list
from data_prep.means import NYUD_MEAN_BGR, RELEASED_MEANS
from data_prep.samples import Samples
from data_prep.siftflow import GEOMETRIC_NAMES, SEMANTIC_NAMES
from data_prep.statistics import Moments, measure_samples

VAL = "ImageSets/Segmentation/val.txt"


def numbers(run, tmp_path, *arguments):
    """The JSON that the command writes, and what it prints."""
    done = run("statistics", *arguments, "--json", tmp_path / "numbers.json")
    assert done.exit_code == 0, done.output
    return json.loads((tmp_path / "numbers.json").read_text()), done.stdout


def of_all(channel):
    """NumPy's numbers of all values at once."""
    values = channel.astype(np.float64)
    return {"mean": values.mean(), "std": values.std(), "min": values.min(), "max": values.max()}


def close(found, wanted):
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("jobs", [1, 2])
def test_moments_of_parts_are_those_of_the_whole(jobs):
    random = np.random.RandomState(jobs)
    for values in (random.randint(0, 256, 5000).astype(np.uint8), 1e4 + random.standard_normal(5000)):
        parts = Moments()
        for part in np.split(values, [0, 1, 17, 2500, 5000]):
            parts += Moments.of(part)
        close(parts.as_json(), of_all(values))
        assert parts.count == values.size
    assert Moments().as_json() == {"mean": None, "std": None, "min": None, "max": None}


def test_real_pairs_from_the_dataset_and_from_its_databases(realdata, tmp_path, run):
    voc = realdata / "VOCdevkit" / "VOC2012"
    ids = read_list(voc / VAL)
    images = [np.array(Image.open(voc / f"JPEGImages/{one}.jpg")).reshape(-1, 3) for one in ids]
    labels = [np.array(Image.open(voc / f"SegmentationClass/{one}.png")) for one in ids]
    pixels = np.concatenate(images)
    [told], shown = numbers(run, tmp_path, realdata / "VOCdevkit", "--split", "val")
    assert (told["dataset"], told["samples"]) == ("voc", len(ids))
    image = told["parts"]["image"]
    assert image["pixels"] == len(pixels)
    for i, (name, released) in enumerate(zip(("blue", "green", "red"), RELEASED_MEANS["voc"]["image"], strict=True)):
        channel = image["channels"][name]
        close(channel, of_all(pixels[:, 2 - i]))
        assert channel["released"] == released
        assert channel["difference"] == channel["mean"] - released
    counts, shown_by = Counter(), Counter()
    for label in labels:
        values, many = np.unique(label, return_counts=True)
        counts.update({str(value): int(count) for value, count in zip(values, many, strict=True)})
        shown_by.update(map(str, values))
    assert told["parts"]["label"]["pixels"] == counts
    assert told["parts"]["label"]["samples"] == shown_by
    [person] = [line.split() for line in shown.splitlines() if line.split()[:2] == ["person", "15"]]
    assert person[2] == f"{counts['15']:,}"
    assert person[-1] == str(shown_by["15"])
    assert f"{image['channels']['blue']['difference']:+.3f}" in shown

    out = tmp_path / "out"
    assert run("voc", "--source", voc, "--out", out, "--split", "val", "--images", "raw").exit_code == 0
    [again], _ = numbers(run, tmp_path, out, "--jobs", "2")
    assert again["folder"] == str(out / "voc2012_val")
    assert {**again, "folder": told["folder"]} == told


def test_both_labels_and_the_mean_picture_of_siftflow(draw_siftflow, tmp_path, run):
    ids = ["coast_natu975", "street_par29", "forest_for114"]
    truth = draw_siftflow(tmp_path / "SiftFlowDataset", ids, ["coast_sun14"])
    [told], _ = numbers(run, tmp_path, tmp_path / "SiftFlowDataset")
    assert told["dataset"] == "siftflow"
    for part, names, place in (("sem", SEMANTIC_NAMES, 1), ("geo", GEOMETRIC_NAMES, 2)):
        values, counts = np.unique([truth[one][place] for one in ids], return_counts=True)
        assert told["parts"][part]["pixels"] == {str(v): int(n) for v, n in zip(values, counts, strict=True)}
        assert told["parts"][part]["names"] == list(names)
    assert told["parts"]["image"]["channels"]["red"]["released"] == RELEASED_MEANS["siftflow"]["image"][2]

    made = run("siftflow", "--source", tmp_path / "SiftFlowDataset", "--out", tmp_path / "o", "--images", "raw")
    assert made.exit_code == 0, made.output
    folder = tmp_path / "o/siftflow_trainval"
    [again], _ = numbers(run, tmp_path, folder, "--mean-file", tmp_path / "mean.binaryproto")
    assert again["parts"] == told["parts"]
    data = (
        np.concatenate([truth[one][0] for one in ids]) + np.float32(RELEASED_MEANS["siftflow"]["image"])[:, None, None]
    )
    mean = read_blobproto(tmp_path / "mean.binaryproto")
    np.testing.assert_allclose(mean, data.mean(axis=0, dtype=np.float64)[None], rtol=1e-6)
    reports, _ = numbers(run, tmp_path, tmp_path / "o")
    assert [one["folder"] for one in reports] == [str(tmp_path / "o/siftflow_test"), str(folder)]


def test_depth_by_its_logarithm_and_hha_of_nyud(nyud_source, tmp_path, run):
    out = tmp_path / "nyud"
    made = run("nyud", "--source", nyud_source.folder, "--out", out, "--depths", "png")
    assert made.exit_code == 0, made.output
    ids = read_list(out / "trainval.txt")
    [files, test, train], shown = numbers(run, tmp_path, out)
    assert [one["folder"] for one in (files, test, train)] == [
        str(out),
        str(out / "nyud_test"),
        str(out / "nyud_trainval"),
    ]
    [whole], _ = numbers(run, tmp_path, out, "--split", "trainval")
    assert whole["parts"] == train["parts"]
    depth = np.stack([np.array(Image.open(out / f"data/depth/img_{one}.png")) for one in ids])
    hha = np.stack([np.array(Image.open(out / f"data/hha/img_{one}.png")) for one in ids])
    close(train["parts"]["depth"]["channels"]["depth_mm"], of_all(depth))
    log = train["parts"]["depth"]["channels"]["log_depth"]
    close(log, of_all(np.log(depth.astype(np.float64))))
    assert log["released"] == RELEASED_MEANS["nyud"]["depth"][0]
    assert "released" not in train["parts"]["depth"]["channels"]["depth_mm"]
    for i, name in enumerate(("disparity", "height", "angle")):
        close(train["parts"]["hha"]["channels"][name], of_all(hha[..., i]))
        assert train["parts"]["hha"]["channels"][name]["released"] == RELEASED_MEANS["nyud"]["hha"][i]
    raw = np.stack([np.array(Image.open(path)) for path in sorted((out / "data/rawdepth").iterdir())])
    close(files["parts"]["rawdepth"]["channels"]["depth_mm"], of_all(raw[raw > 0]))
    assert train["parts"]["label"]["names"][0] == "class 1"
    assert "log_depth" in shown


def test_the_order_of_nyuds_released_mean_is_spoken_of():
    def constant(*bgr):
        picture = np.broadcast_to(np.array(bgr, np.uint8)[:, None, None], (3, 4, 5))
        samples = Samples("there", "nyud", ["1"], {"image": Contents("image")}, {}, lambda key: {"image": picture})
        return measure_samples(samples)[0]["parts"]["image"]

    reverse = constant(92, 97, 116)
    assert "are nearer to these in reverse, as R, G, B; the released nets take them off B, G, R" in reverse["note"]
    assert [one["released"] for one in reverse["channels"].values()] == list(NYUD_MEAN_BGR)
    assert "note" not in constant(116, 97, 92)


def test_names_of_ones_own_classes_and_the_means_of_nets_to_start_from(tmp_path, run):
    own = tmp_path / "own"
    for part in ("images", "labels"):
        (own / part).mkdir(parents=True)
    for one in ("a", "b"):
        Image.new("RGB", (6, 4), (1, 2, 3)).save(own / f"images/{one}.png")
        Image.new("L", (6, 4), 1).save(own / f"labels/{one}.png")
    (own / "classes.txt").write_text("floor\nwall\n")
    [told], shown = numbers(run, tmp_path, own)
    assert told["dataset"] == "folder"
    assert told["parts"]["label"] == {
        "holds": "label",
        "classes": 2,
        "void": 255,
        "names": ["floor", "wall"],
        "pixels": {"1": 48},
        "samples": {"1": 2},
    }
    assert told["parts"]["image"]["channels"]["blue"] == {
        **{"mean": 3.0, "std": 0.0, "min": 3.0, "max": 3.0},
        **{"released": 104.00699, "difference": 3.0 - 104.00699},
    }
    assert "100.00 %" in shown
    assert run("folder", "--source", own, "--out", tmp_path / "o", "--fraction", "val=0.5").exit_code == 0
    [again], _ = numbers(run, tmp_path, tmp_path / "o/folder_val")
    assert again["parts"]["label"]["names"] == ["floor", "wall"]


def test_faulty_samples_are_named_and_not_counted(drawn, tmp_path, run):
    write_list(tmp_path / "few.txt", drawn.train[:3])
    (drawn.sbdd_dir / f"img/{drawn.train[1]}.jpg").write_bytes(b"no picture")
    done = run("statistics", drawn.sbdd_dir, "--split", tmp_path / "few.txt", "--json", tmp_path / "n.json")
    assert done.exit_code == 1
    assert f"{drawn.train[1]}.jpg' is damaged or not an image" in done.stderr
    assert "not counted: 1 faulty sample; repair the files and run again" in done.stderr
    [told] = json.loads((tmp_path / "n.json").read_text())
    assert (told["samples"], told["faults"]) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{data}"], "'{data}' may be voc or sbd; name one with --dataset"),
        (["{empty}"], "'{empty}' holds no manifest.json and is none of the datasets voc, sbd, nyud, siftflow, "),
        (
            ["{empty}", "--dataset", "nyud"],
            "no NYUDv2 dataset at '{empty}': looked for a folder with data/images, there and",
        ),
        (["{db}", "--split", "val"], "'{db}' is what was made of one list; leave out --split"),
        (["{db}", "{db}", "--mean-file", "{empty}/m"], "--mean-file is of one list; named are {db}, {db}"),
        (["{db}", "--mean-file", "{empty}/m"], "; for images of several sizes take mean_value"),
        (
            ["{voc}", "--split", "seg11valid", "--mean-file", "{empty}/m"],
            "'{voc}' has no image_lmdb to make a mean pic",
        ),
        (["{old}"], "'{old}' is of format 1, this is 2; build it again"),
        (["{damaged}"], "manifest.json' is damaged (holds 'music'; wanted one of image, "),
    ],
)
def test_what_cannot_be_measured(drawn, databases, tmp_path, arguments, message, run):
    places = {"data": tmp_path / "data", "empty": tmp_path / "empty", "db": tmp_path / "db", "voc": drawn.voc_dir}
    places["empty"].mkdir()
    manifest = json.loads((tmp_path / "db/manifest.json").read_text())
    for name, change in (("old", {"format": 1}), ("damaged", {"databases": {"image_lmdb": {"holds": "music"}}})):
        places[name] = tmp_path / name
        places[name].mkdir()
        (places[name] / "manifest.json").write_text(json.dumps({**manifest, **change}))
    done = run("statistics", *(one.format(**places) for one in arguments))
    assert done.exit_code == 1
    assert message.format(**places) in done.stderr
