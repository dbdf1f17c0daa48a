"""Which splits a data folder gives, and what reads them."""

import ast
import shutil
from dataclasses import replace

import numpy as np
import pytest

from caffe_compat.errors import DataError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TRAIN
from caffe_compat.spec.net_spec import NetSpec
from data_prep.lists import write_list
from data_prep.shapes import draw_dataset
from nets.catalogue import Task, lookup
from solvers.datasets import find_splits

VOC = lookup("voc-fcn32s")


def test_with_sbd_the_paper_s_split(drawn, tmp_path):
    splits = find_splits(tmp_path / "data", VOC)
    assert (splits.train.folder.name, splits.train.name, splits.train.ids) == ("sbd", "train", drawn.train)
    assert (splits.test.folder.name, splits.test.name, splits.test.ids) == ("voc2011", "seg11valid", drawn.val)
    assert (splits.train.published_size, splits.test.published_size) == (8498, 736)


def test_without_sbd_voc_s_own_lists(drawn, tmp_path):
    shutil.rmtree(tmp_path / "data" / "sbdd")
    write_list(drawn.voc_dir / "ImageSets" / "Segmentation" / "train.txt", drawn.val[:1])
    splits = find_splits(tmp_path / "data", VOC)
    assert (splits.train.folder.name, splits.train.name, splits.train.ids) == ("voc2011", "train", drawn.val[:1])
    assert (splits.test.name, splits.test.ids) == ("seg11valid", drawn.val)
    (drawn.voc_dir / "ImageSets" / "Segmentation" / "seg11valid.txt").unlink()
    splits = find_splits(tmp_path / "data", VOC)
    assert (splits.test.folder.name, splits.test.name, splits.test.ids) == ("voc2011", "val", drawn.val)


def test_without_its_list_seg11valid_is_val_without_sbd_s_train(drawn, tmp_path):
    (drawn.voc_dir / "ImageSets" / "Segmentation" / "seg11valid.txt").unlink()
    write_list(drawn.sbdd_dir / "train.txt", [*drawn.train, drawn.val[0]])
    assert find_splits(tmp_path / "data", VOC).test.ids == drawn.val[1:]


def test_2011_is_taken_among_several_years(drawn, tmp_path):
    shutil.copytree(drawn.voc_dir, drawn.voc_dir.with_name("VOC2012"))
    assert find_splits(tmp_path / "data", VOC).test.folder.name == "voc2011"
    drawn.voc_dir.rename(drawn.voc_dir.with_name("VOC2007"))
    with pytest.raises(
        DataError, match="several years of VOC at '.*': voc2007, voc2012, and not 2011, .*; give --data"
    ):
        find_splits(tmp_path / "data", VOC)


def test_a_single_other_year_is_taken(drawn, tmp_path):
    drawn.voc_dir.rename(drawn.voc_dir.with_name("VOC2012"))
    assert find_splits(tmp_path / "data", VOC).test.folder.name == "voc2012"


def test_wrong_folder(tmp_path):
    with pytest.raises(DataError, match="no VOC dataset at '.*': looked for .* found no such folder; give"):
        find_splits(tmp_path / "nowhere", VOC)


def test_a_broken_dataset_is_no_missing_one(drawn, tmp_path):
    (drawn.sbdd_dir / "train.txt").unlink()
    with pytest.raises(DataError, match=r"SBD dataset '.*' lacks train\.txt"):
        find_splits(tmp_path / "data", VOC)
    shutil.copytree(drawn.voc_dir, drawn.voc_dir.with_name("VOC2012"))
    shutil.rmtree(drawn.voc_dir / "JPEGImages")
    with pytest.raises(DataError, match="VOC dataset '.*VOC2011' lacks JPEGImages"):
        find_splits(tmp_path / "data", VOC)


def params_of(source):
    return ast.literal_eval(net_of(source).layer[0].python_param.param_str)


def net_of(source):
    n = NetSpec()
    source.add(n, ("data", "label"))
    return n.to_proto()


@pytest.mark.parametrize(("role", "cls"), [("train", "SBDDSegDataLayer"), ("test", "VOCSegDataLayer")])
def test_files_and_lmdb_give_the_same_samples(drawn, tmp_path, monkeypatch, role, cls):
    monkeypatch.chdir(tmp_path)  # paths in a net must not depend on where it is read from
    data = (tmp_path / "data").relative_to(tmp_path)
    files, lmdb = (
        getattr(find_splits(data, VOC, read), role).source(VOC, tmp_path / "out", 7) for read in ("files", "lmdb")
    )
    assert (files.layer, lmdb.layer) == (cls, "LMDBSegDataLayer")
    nets = [Net(net_of(source), phase=TRAIN) for source in (files, lmdb)]
    seen = set()
    for _ in range(5):
        for net in nets:
            net.forward()
        for blob in ("data", "label"):
            assert np.array_equal(*(net.blobs[blob].data for net in nets))
        seen.add(nets[0].blobs["data"].data.tobytes())
    assert len(seen) > 1


def test_paths_in_the_source_are_absolute_and_settings_pass_through(drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    split = find_splits((tmp_path / "data").relative_to(tmp_path), VOC).train
    params = params_of(split.source(VOC, (tmp_path / "out").relative_to(tmp_path), 7))
    assert params == {
        "sbdd_dir": str(drawn.sbdd_dir.resolve()),
        "split": str(tmp_path.resolve() / "out" / "lists" / "train.txt"),
        "seed": 7,
        "mean": VOC.mean_bgr,
        "classes": 21,
    }


def test_lmdbs_of_faulty_samples_are_refused(drawn, tmp_path):
    faulty = drawn.sbdd_dir / "cls" / f"{drawn.train[1]}.mat"
    faulty.write_bytes(b"garbage")
    split = find_splits(tmp_path / "data", VOC, "lmdb").train
    with pytest.raises(DataError, match=rf"SBD train: 1 faulty sample, the first: .*{faulty.name}.*; repair them or"):
        split.source(VOC, tmp_path / "out", 7)


def test_fewer_classes_are_checked_against(tmp_path):
    draw_dataset(tmp_path / "few", train=1, val=1, classes=(15,))
    split = find_splits(tmp_path / "few", replace(VOC, tasks=(Task(9),))).train
    with pytest.raises(DataError, match=rf"{split.ids[0]}\.mat.*15.*0 to 8"):
        split.folder.read_pair(split.ids[0])
