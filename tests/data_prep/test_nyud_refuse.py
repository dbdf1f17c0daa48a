"""What is wrong with NYUDv2's files, lists and layer parameters, and what is said about it."""

import io
import shutil

import h5py
import numpy as np
import pytest
import scipy.io

from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.blob import Blob
from caffe_compat.proto import caffe_pb2 as pb
from data_prep.labels import VOID
from data_prep.layers_nyud import NYUDLMDBSegDataLayer, NYUDSegDataLayer
from data_prep.nyud import NYUDFolder, decode_segmentation
from data_prep.nyud_mat import LabeledMat, read_mapping, read_splits
from data_prep.png_files import write_png


@pytest.fixture
def source(nyud_source, tmp_path):
    """The miniature's files, the small ones copied so that a test may change them."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("splits.mat", "classMapping40.mat"):
        shutil.copy(nyud_source.folder / name, folder)
    (folder / "nyu_depth_v2_labeled.mat").symlink_to(nyud_source.folder / "nyu_depth_v2_labeled.mat")
    return folder


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("nyu_depth_v2_labeled.mat", r"the frames \(2\.8 GB\); put it there or name it with --source"),
        ("splits.mat", r"the official split .*; put it there or name it with --split-file"),
        ("classMapping40.mat", r"the mapping of 894 labels to 40 classes; put it there or name it with --mapping"),
    ],
)
def test_what_to_download_is_said(source, tmp_path, name, what, run):
    (source / name).unlink()
    done = run("nyud", "--source", source, "--out", tmp_path / "out")
    assert done.exit_code == 1
    with pytest.raises(DataError, match=rf"no {name} in '.*source' \(found '.*'\): {what}; .*download nyud --out"):
        raise DataError(done.output.replace("\n", " "))
    assert not (tmp_path / "out").exists()


def test_a_named_file_that_is_not_there(source, tmp_path, run):
    done = run("nyud", "--source", source, "--out", tmp_path / "out", "--mapping", tmp_path / "no.mat")
    assert "--mapping '" in done.output
    assert "no.mat' is not there; give the mapping of 894 labels" in done.output


def test_faulty_frames_are_reported_and_the_rest_is_made(nyud_source, source, tmp_path, run):
    """One of four frames has a label outside the mapping, one no depth in metres, one no raw depth at all."""
    (source / "nyu_depth_v2_labeled.mat").unlink()
    shutil.copy(nyud_source.folder / "nyu_depth_v2_labeled.mat", source)
    with h5py.File(source / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][0, 100, 200] = 895
        file["depths"][1, 100, 200] = np.nan
        file["rawDepths"][2] = 0
    done = run("nyud", "--source", source, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "labels of '" in done.output
    assert "image 5001': 895 at row 155, column 60, but the mapping knows 1 to 894" in done.output
    assert "image 5002' holds values that are no depth in metres (0 to 65.535)" in done.output
    assert "image 5003': no square of the depth holds a pixel that is not missing" in done.output
    assert "3 faulty samples; repair the files or shorten the lists" in done.output
    assert (tmp_path / "out/nyud_trainval.partial").is_dir()
    assert (tmp_path / "out/segmentation/img_5004.mat").exists()
    strict = run("nyud", "--source", source, "--out", tmp_path / "out", "--strict", "--no-lmdb")
    assert strict.exit_code == 1
    assert "image 5003'" in strict.output
    assert "image 5001'" not in strict.output


def test_a_list_with_a_frame_that_is_not_there(source, tmp_path, run):
    (tmp_path / "mine.txt").write_text("img_5002\n5009\n")
    done = run("nyud", "--source", source, "--out", tmp_path / "out", "--list-file", tmp_path / "mine.txt", "--no-lmdb")
    assert done.exit_code == 1
    assert "has no image '5009': its 4 images are 5001 to 5004; correct the list" in done.output
    assert (tmp_path / "out/segmentation/img_5002.mat").exists()
    assert (tmp_path / "out/mine.txt").read_text() == "5002\n5009\n"


def test_another_or_damaged_file_of_frames(tmp_path):
    path = tmp_path / "a.mat"
    with pytest.raises(DataError, match=r"a\.mat' is not there; give the path of nyu_depth_v2_labeled\.mat"):
        LabeledMat(path).read("5001")
    path.write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"cannot be opened as HDF5 .*; wanted the variables images.*download it again"):
        LabeledMat(path).read("5001")
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["images"] = np.zeros((1, 3, 640, 480), np.uint8)
    with pytest.raises(DataError, match=r"b\.mat' has no depths, rawDepths, labels; wanted the variables"):
        LabeledMat(tmp_path / "b.mat").read("5001")
    with h5py.File(tmp_path / "c.mat", "w") as file:
        for name in ("images", "depths", "rawDepths", "labels"):
            file[name] = np.zeros((1, *([3] if name == "images" else []), 480, 640), np.uint8)
    with pytest.raises(DataError, match="images is 640 x 480 x 3 x 1, wanted 480 x 640 x 3 x 1; give the file as"):
        LabeledMat(tmp_path / "c.mat").read("5001")


def test_a_file_of_frames_that_was_cut_off(nyud_source, tmp_path):
    content = (nyud_source.folder / "nyu_depth_v2_labeled.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cannot be opened as HDF5"):
        LabeledMat(tmp_path / "cut.mat").read("5001")
    hurt = bytearray(content)
    with h5py.File(nyud_source.folder / "nyu_depth_v2_labeled.mat", "r") as file:
        chunk = file["images"].id.get_chunk_info_by_coord((3, 0, 0, 0))  # of the last frame alone
        hurt[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    (tmp_path / "hurt.mat").write_bytes(bytes(hurt))
    LabeledMat(tmp_path / "hurt.mat").read("5001")
    with pytest.raises(DataError, match=r"hurt\.mat' is damaged at image 5004 \(.*\); download the file again"):
        LabeledMat(tmp_path / "hurt.mat").read("5004")


def test_mappings_that_are_none(tmp_path):
    path = tmp_path / "m.mat"
    for content, message in (
        ({"mapClass": [[1, 41]]}, r"mapClass holds other values than the classes 0 to 40; wanted the 40-class mapping"),
        ({"classMapping13": [[1]]}, r"m\.mat' has no variable mapClass; wanted classMapping40\.mat"),
    ):
        scipy.io.savemat(path, content)
        with pytest.raises(DataError, match=message):
            read_mapping(path)
    path.write_bytes(b"x" * 200)
    with pytest.raises(DataError, match=r"m\.mat' is damaged or not a MATLAB file"):
        read_mapping(path)
    with pytest.raises(DataError, match="gone' cannot be read"):
        read_mapping(tmp_path / "gone")


def test_a_mapping_in_hdf5_is_read_too(tmp_path):
    with h5py.File(tmp_path / "m.mat", "w") as file:
        file["mapClass"] = np.array([[40.0], [1.0], [3.0]])
        file["one"] = np.array([[ord("a")]], np.uint16)
        cells = file.create_dataset("className", (40, 1), h5py.ref_dtype)
        for i in range(40):
            cells[i, 0] = file["one"].ref
    mapping = read_mapping(tmp_path / "m.mat")
    assert mapping.classes.tolist() == [0, 40, 1, 3]
    assert mapping.names == (), "references are not names"


def test_splits_that_do_not_fit(tmp_path):
    path = tmp_path / "s.mat"
    for train, test, message in (
        ([1, 5], [2], r"trainNdxs holds other values than the frames 1 to 4"),
        ([1, 2], [0], r"testNdxs holds other values than the frames 1 to 4"),
        ([1, 2], [2], r"names a frame twice, or for both training and test; download splits\.mat again"),
    ):
        scipy.io.savemat(path, {"trainNdxs": train, "testNdxs": test})
        with pytest.raises(DataError, match=message):
            read_splits(path, 4)


def test_segmentations_that_are_none():
    def content(**variables):
        out = io.BytesIO()
        scipy.io.savemat(out, variables)
        return out.getvalue()

    label = np.array([[0, 1], [40, 2]], np.uint8)
    assert decode_segmentation(content(segmentation=label), "a").tolist() == [[255, 0], [39, 1]]
    with pytest.raises(DataError, match="label 'a' has no variable segmentation"):
        decode_segmentation(content(other=label), "a")
    with pytest.raises(DataError, match="label 'a': value 41 at row 1, column 0 is outside 0 to 40; so are 1 of its 4"):
        decode_segmentation(content(segmentation=label + 1), "a")
    with pytest.raises(DataError, match="label 'a' is damaged or not a MATLAB file"):
        decode_segmentation(b"x", "a")


def set_up(params, tops, bottoms=0):
    one = NYUDSegDataLayer(pb.LayerParameter(python_param={"param_str": str(params)}))
    one.setup([Blob() for _ in range(bottoms)], [Blob() for _ in range(tops)])


def test_layer_parameters_that_are_wrong(tmp_path):
    (tmp_path / "val.txt").write_text("5001\n")
    common = {"nyud_dir": str(tmp_path), "split": "val"}
    with pytest.raises(DataError, match="NYUDSegDataLayer: param_str's 'tops' names 'colour'; wanted some of color"):
        set_up({**common, "tops": ["colour", "label"]}, 2)
    with pytest.raises(DataError, match="'tops' names nothing"):
        set_up({**common, "tops": []}, 0)
    with pytest.raises(DataError, match=r"'tops' is \[1\]; wanted texts"):
        set_up({**common, "tops": [1]}, 1)
    with pytest.raises(DataError, match="lacks 'tops'"):
        set_up(common, 1)
    with pytest.raises(LayerError, match="3 tops given, but param_str's 'tops' names 2: color, label; make them equal"):
        set_up({**common, "tops": ["color", "label"]}, 3)
    with pytest.raises(LayerError, match="1 bottoms given; a data layer takes none"):
        set_up({**common, "tops": ["color"]}, 1, bottoms=1)


def test_depth_that_is_not_in_painted_is_refused(tmp_path):
    folder = NYUDFolder(tmp_path, void=VOID)
    for one in folder.folders():
        one.mkdir(parents=True)
    depth = np.full((4, 5), 1000, np.uint16)
    depth[1, 2] = 0
    write_png(folder.picture_path("depth", "5001"), depth)
    with pytest.raises(DataError, match=r"img_5001\.png' is 0 at 1 pixels, and nets read its logarithm; wanted in-p"):
        folder.read_depth_mm("5001")
    write_png(folder.picture_path("depth", "5001"), depth.astype(np.uint8))
    with pytest.raises(DataError, match="is an image of mode L; wanted one channel of 16 bits, millimetres"):
        folder.read_depth_mm("5001")


def test_databases_that_are_not_keyed_alike(nyud_source, tmp_path, run):
    for name, ids in (("a", "5001\n5002\n"), ("b", "5002\n5001\n")):
        (tmp_path / f"{name}.txt").write_text(ids)
        done = run(
            "nyud", "--source", nyud_source.folder, "--out", tmp_path / "o", "--list-file", tmp_path / f"{name}.txt"
        )
        assert done.exit_code == 0, done.output
    shutil.rmtree(tmp_path / "o/nyud_a/hha_lmdb")
    shutil.copytree(tmp_path / "o/nyud_b/hha_lmdb", tmp_path / "o/nyud_a/hha_lmdb")
    params = {"lmdb_dir": str(tmp_path / "o/nyud_a"), "split": "a", "tops": ["color", "hha"]}
    one = NYUDLMDBSegDataLayer(pb.LayerParameter(python_param={"param_str": str(params)}))
    with pytest.raises(
        DataError, match=r"image_lmdb' \(2 records\) and '.*hha_lmdb' \(2 records\) are not keyed alike: key"
    ):
        one.setup([], [Blob(), Blob()])
