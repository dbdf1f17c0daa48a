"""``python -m data_prep``: from folders to lists and LMDBs, the summary, and the exit status."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_compat.layer.data.lmdb_source import LMDBReader
from data_prep.lists import read_list, write_list

ROOT = Path(__file__).resolve().parents[2]


def table(output):
    """The summary's rows by list name."""
    lines = output[output.index("list ") :].splitlines()
    rows = [line.split("  ") for line in lines]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[1:]}


def test_as_a_module_on_the_real_pairs(realdata, tmp_path):
    command = [sys.executable, "-m", "data_prep", "voc", "--source", realdata / "VOCdevkit", "--out", tmp_path / "out"]
    done = subprocess.run(
        [*map(str, command), "--split", "val", "--jobs", "2"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "voc2012_val: 100%" in done.stderr
    row = table(done.stdout)["val"]
    assert row["images"] == "6"
    assert row["published"] == "1449"
    assert row["state"] == "written"
    assert LMDBReader(tmp_path / "out/voc2012_val/label_lmdb").keys_count == 6


def test_sbd_with_its_lists(drawn, tmp_path, run):
    write_list(drawn.sbdd_dir / "val.txt", drawn.train[:2])
    done = run("sbd", "--source", tmp_path / "data", "--out", tmp_path / "out", "--images", "raw", "--labels", "png")
    assert done.exit_code == 0, done.output
    rows = table(done.stdout)
    assert [(name, row["images"], row["published"]) for name, row in rows.items()] == [
        ("train", "7", "8498"),
        ("val", "2", "2857"),
    ]
    assert rows["train"]["classes"] == "5"
    assert read_list(tmp_path / "out/lists/sbd_train.txt") == drawn.train
    settings = json.loads((tmp_path / "out/sbd_train/manifest.json").read_text())["settings"]
    assert settings == {"images": "raw", "labels": "png", "classes": 21, "void": 255}
    again = run("sbd", "--source", tmp_path / "data", "--out", tmp_path / "out", "--images", "raw", "--labels", "png")
    assert again.exit_code == 0
    assert table(again.stdout)["train"]["state"] == "already there"


def test_seg11valid_is_made_where_both_sets_are_there(drawn, tmp_path, run):
    lists = drawn.voc_dir / "ImageSets" / "Segmentation"
    (lists / "seg11valid.txt").unlink()
    write_list(drawn.sbdd_dir / "train.txt", [*drawn.train, drawn.val[1]])
    done = run("voc", "--source", drawn.voc_dir, "--sbd", drawn.sbdd_dir, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert list(table(done.stdout)) == ["val", "seg11valid"]
    left = [drawn.val[0], *drawn.val[2:]]
    assert read_list(tmp_path / "out/lists/voc2011_seg11valid.txt") == left
    keys = list(LMDBReader(tmp_path / "out/voc2011_seg11valid/image_lmdb").keys())
    assert keys == [f"{i:08d}_{one}".encode() for i, one in enumerate(left)]
    only = run(
        "voc", "--source", drawn.voc_dir, "--sbd", drawn.sbdd_dir, "--out", tmp_path / "2", "--split", "seg11valid"
    )
    assert list(table(only.stdout)) == ["seg11valid"]


def test_sbd_beside_voc_makes_seg11valid_and_hides_no_fault(drawn, tmp_path, run):
    """A label that VOC lacks is a fault, though SBD has one."""
    (drawn.voc_dir / "ImageSets/Segmentation/seg11valid.txt").unlink()
    shutil.copy(drawn.sbdd_dir / "cls" / f"{drawn.train[0]}.mat", drawn.sbdd_dir / "cls" / f"{drawn.val[0]}.mat")
    (drawn.voc_dir / "SegmentationClass" / f"{drawn.val[0]}.png").unlink()
    done = run("voc", "--source", tmp_path / "data", "--out", tmp_path / "out", "--no-lmdb")
    assert list(table(done.stdout)) == ["val", "seg11valid"]
    assert read_list(tmp_path / "out/lists/voc2011_seg11valid.txt") == drawn.val
    assert f"label '{drawn.voc_dir / 'SegmentationClass' / drawn.val[0]}.png' is missing" in done.stderr


def test_voc2012_with_sbd_has_seg11valid_only_where_it_is_saved_or_asked_for(drawn, tmp_path, run):
    """Its val holds more than VOC2011's, so that whole sets do not make the list; the released one may be saved."""
    voc = drawn.voc_dir.rename(drawn.voc_dir.with_name("VOC2012"))
    saved = voc / "ImageSets/Segmentation/seg11valid.txt"
    saved.unlink()
    command = ("voc", "--source", voc, "--sbd", drawn.sbdd_dir, "--no-lmdb", "--out", tmp_path / "out")
    assert list(table(run(*command).stdout)) == ["val"]
    assert list(table(run(*command, "--split", "seg11valid").stdout)) == ["seg11valid"]
    assert read_list(tmp_path / "out/lists/voc2012_seg11valid.txt") == drawn.val
    write_list(saved, drawn.val[1:])
    assert list(table(run(*command).stdout)) == ["val", "seg11valid"]
    assert read_list(tmp_path / "out/lists/voc2012_seg11valid.txt") == drawn.val[1:]


@pytest.mark.parametrize("split", ["seg11valid", "train_aug"])
def test_a_list_of_both_sets_asks_for_sbd(drawn, tmp_path, split, run):
    (drawn.voc_dir / "ImageSets/Segmentation/seg11valid.txt").unlink()
    done = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--split", split)
    assert done.exit_code == 1
    wanted = f"has no list {split}, and there is no SBD to make it with: name SBD's folder with --sbd; "
    assert wanted in done.stderr
    assert "'python -m data_prep download sbd --out DATA' gets it" in done.stderr


def test_both_sets_are_merged_for_training(drawn, tmp_path, run):
    """VOC's train and SBD's images, but for VOC's val; labels of either kind, and a list of the merged paths."""
    lists = drawn.voc_dir / "ImageSets" / "Segmentation"
    write_list(lists / "train.txt", [drawn.val[3]])
    write_list(lists / "val.txt", drawn.val[:3])
    write_list(drawn.sbdd_dir / "val.txt", [drawn.train[1]])
    write_list(drawn.sbdd_dir / "train.txt", [*drawn.train[2:], drawn.train[0]])
    arguments = ["voc", "--source", drawn.voc_dir, "--sbd", drawn.sbdd_dir, "--split", "train_aug"]
    done = run(*arguments, "--out", tmp_path / "out", "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert read_list(tmp_path / "out/lists/voc2011_train_aug.txt") == [*drawn.train, drawn.val[3]]
    assert LMDBReader(tmp_path / "out/voc2011_train_aug/label_lmdb").keys_count == 8
    paths = "".join(
        f"/JPEGImages/{one}.jpg /SegmentationClassAug/{one}.png\n" for one in (drawn.train[2], drawn.val[3])
    )
    (tmp_path / "aug.txt").write_text(paths)
    missing = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "2", "--list-file", tmp_path / "aug.txt")
    assert missing.exit_code == 1
    assert f"aug {drawn.train[2]}: image" in missing.output
    for one in drawn.train:
        shutil.copy(drawn.sbdd_dir / "img" / f"{one}.jpg", drawn.voc_dir / "JPEGImages")
    png = run(
        *("sbd", "--source", drawn.sbdd_dir, "--out", tmp_path / "s", "--verify"),
        *("--png", drawn.voc_dir / "SegmentationClassAug"),
    )
    assert png.exit_code == 0, png.output
    assert [row["state"] for row in table(png.stdout).values()] == ["verified"] * 3
    assert sorted(path.stem for path in (drawn.voc_dir / "SegmentationClassAug").glob("*.png")) == drawn.train
    there = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "3", "--list-file", tmp_path / "aug.txt")
    assert there.exit_code == 0, there.output
    assert LMDBReader(tmp_path / "3/voc2011_aug/label_lmdb").keys_count == 2


def test_label_pngs_are_described_verified_and_their_faults_told_once(drawn, tmp_path, run):
    (drawn.sbdd_dir / "cls" / f"{drawn.train[4]}.mat").write_bytes(b"x")
    command = ("sbd", "--source", drawn.sbdd_dir, "--out", tmp_path / "out", "--png", tmp_path / "png")
    done = run(*command)
    assert done.exit_code == 1
    assert "1 faulty sample" in done.stderr
    assert done.stderr.count("is damaged or not a MATLAB file") == 1
    assert {name: row["faults"] for name, row in table(done.stdout).items()} == {"files": "1", "train": "1"}
    assert f"{drawn.train[4]}.mat' is damaged" in (tmp_path / "png/faults.txt").read_text()
    assert not (tmp_path / "png/manifest.json").exists()
    write_list(drawn.sbdd_dir / "train.txt", [one for one in drawn.train if one != drawn.train[4]])
    assert run(*command, "--no-lmdb", "--verify").exit_code == 0
    manifest = json.loads((tmp_path / "png/manifest.json").read_text())
    assert manifest["count"] == 6
    assert manifest["files"]["label"]["classes"] == 21
    (tmp_path / f"png/{drawn.train[0]}.png").write_bytes(b"x")
    damaged = run("verify", tmp_path / "png")
    assert damaged.exit_code == 1
    assert f"key {drawn.train[0]}: label '" in damaged.stderr


def test_a_list_of_ones_own(drawn, tmp_path, run):
    write_list(tmp_path / "mine.txt", drawn.val[1:3])
    done = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--list-file", tmp_path / "mine.txt")
    assert done.exit_code == 0, done.output
    assert list(table(done.stdout)) == ["mine"]
    assert LMDBReader(tmp_path / "out/voc2011_mine/image_lmdb").keys_count == 2


def test_checking_alone_writes_no_lmdb(drawn, tmp_path, run):
    done = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--no-lmdb")
    assert done.exit_code == 0, done.output
    assert table(done.stdout)["val"]["state"] == "checked"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["lists"]


@pytest.mark.parametrize("build", ["--lmdb", "--no-lmdb"])
def test_faults_are_listed_and_counted(drawn, tmp_path, build, run):
    (drawn.voc_dir / "JPEGImages" / f"{drawn.val[0]}.jpg").unlink()
    (drawn.voc_dir / "SegmentationClass" / f"{drawn.val[2]}.png").write_bytes(b"x")
    done = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--split", "val", build)
    assert done.exit_code == 1
    assert f"val {drawn.val[0]}: image '" in done.output
    assert f"val {drawn.val[2]}: label '" in done.output
    assert "2 faulty samples; repair the files or shorten the lists, and run again" in done.output
    assert table(done.stdout)["val"]["faults"] == "2"
    assert not (tmp_path / "out/voc2011_val").exists()
    strict = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--split", "val", build, "--strict")
    assert strict.exit_code == 1
    assert f"{drawn.val[0]}.jpg' is missing" in strict.output
    assert f"{drawn.val[2]}" not in strict.output


def test_a_fault_in_two_lists_is_told_and_counted_once(drawn, tmp_path, run):
    drawn.voc_dir.joinpath("JPEGImages", f"{drawn.val[0]}.jpg").unlink()
    done = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--split", "val", "--split", "seg11valid")
    assert done.stderr.count(f"{drawn.val[0]}.jpg' is missing") == 1
    assert "1 faulty sample; repair the files" in done.stderr
    assert {name: row["faults"] for name, row in table(done.stdout).items()} == {"val": "1", "seg11valid": "1"}
    for name in ("val", "seg11valid"):
        assert f"{name}: every fault is listed in '{tmp_path}/out/voc2011_{name}.partial/faults.txt'" in done.stderr


def test_more_classes_on_request(drawn, tmp_path, run):
    arguments = ("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--no-lmdb", "--split", "val")
    few = run(*arguments, "--classes", "15")
    assert few.exit_code == 1
    assert "value 15 at row" in few.output
    assert "is outside the classes 0 to 14" in few.output
    assert run(*arguments, "--classes", "16").exit_code == 0


def test_help_shows_examples_line_by_line_and_each_verb_whole(run):
    shown = run("--help").stdout
    assert "\n  fcn-data download voc2011 sbd --out DATA\n  fcn-data voc --source DATA --out DATA/lmdb\n" in shown
    assert "..." not in shown[shown.index("Commands:") :]
    assert "[default: 1; x>=1]" in run("hha", "--help").stdout


def test_a_wrong_folder_is_an_error_without_a_trace(drawn, tmp_path, run):
    done = run("sbd", "--source", drawn.voc_dir, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert done.output.startswith("Error: no SBD dataset at '")
    assert not (tmp_path / "out").exists()
    shutil.rmtree(drawn.voc_dir / "ImageSets" / "Segmentation")
    (drawn.voc_dir / "ImageSets" / "Segmentation").mkdir()
    done = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out")
    assert "has no train or val list; name a list with --split or --list-file" in done.output


def test_an_out_that_is_a_file_is_named(drawn, tmp_path, run):
    (tmp_path / "out").write_text("x")
    done = run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "out' cannot be made" in done.output
