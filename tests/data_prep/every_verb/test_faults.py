"""Every verb names each fault, lists it and counts it, and makes the other samples."""

import numpy as np
import pytest

from caffe_compat.layer.data.lmdb_source import LMDBReader


def damaged_image(made, one):
    made.image_file(one).write_bytes(made.image_file(one).read_bytes()[:300])
    return f"image '{made.image_file(one)}' is damaged or not an image"


def another_size(made, one):
    height, width = made.size
    made.write_label(one, np.ones((height, width - 1), np.uint8))
    return f"label '{made.label_file(one)}' is {width - 1} x {height} pixels (width x height) but image '"


def missing_label(made, one):
    made.label_file(one).unlink()
    return f"label '{made.label_file(one)}' is missing"


def value_outside(made, one):
    label = np.ones(made.size, np.uint8)
    label[2, 3] = 77
    made.write_label(one, label)
    return f"label '{made.label_file(one)}': value 77 at row 2, column 3 is outside "


def colours(made, one):
    made.write_label(one, np.full((*made.size, 3), 128, np.uint8))
    if made.label_file(one).suffix == ".png":
        return f"label '{made.label_file(one)}' is an image of mode RGB; wanted class numbers"
    variable = {"siftflow": "S", "pascalcontext": "LabelMap", "sbd": "GTcls.Segmentation", "nyud": "segmentation"}
    return f"label '{made.label_file(one)}': {variable[made.verb]} is 3-D"


@pytest.mark.parametrize("fault", [damaged_image, another_size, missing_label, value_outside, colours])
def test_each_fault_is_named_reported_and_counted(made, tmp_path, fault, run, rows):
    out = tmp_path / "out"
    message = fault(made, made.ids[1])
    made.image_file(made.ids[3]).unlink()
    for build, report in (("--lmdb", f"{made.name}.partial/faults.txt"), ("--no-lmdb", f"{made.name}.faults.txt")):
        done = run(*made.command(out, build))
        assert done.exit_code == 1
        assert message in done.stderr
        assert f"'{made.image_file(made.ids[3])}' is missing" in done.stderr
        assert "2 faulty samples; repair the files or shorten the lists, and run again" in done.stderr
        assert [row["faults"] for row in rows(done.stdout).values()] == ["2"]
        first, second = (out / report).read_text().splitlines()
        assert message in first
        assert str(made.image_file(made.ids[3])) in second
        assert f"every fault is listed in '{out / report}'" in done.stderr
    assert not (out / made.name).exists()
    assert LMDBReader(out / f"{made.name}.partial/image_lmdb").keys_count == 2
    for build in ("--lmdb", "--no-lmdb"):
        strict = run(*made.command(out, build, "--strict"))
        assert strict.exit_code == 1
        assert message in strict.output
        assert str(made.image_file(made.ids[3])) not in strict.output
