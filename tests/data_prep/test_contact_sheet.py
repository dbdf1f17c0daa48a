"""Contact sheets: the pixels that a person is to see, from datasets and from what was made of them."""

import numpy as np
import pytest
from PIL import Image

from caffe_compat.errors import DataError
from data_prep.contact_sheet import contact_sheet, hatched, spread
from data_prep.contents import Contents
from data_prep.labels import voc_palette
from data_prep.lists import write_list
from data_prep.samples import Samples, open_samples

PALETTE = voc_palette()
BOX = (240, 180)


def drawn_sheet(run, tmp_path, *arguments):
    done = run("contact-sheet", *arguments, "--out", tmp_path / "out/sheet.png")
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "out/sheet.png") as sheet:
        assert sheet.mode == "RGB"
        assert f"sheet.png: {sheet.width} x {sheet.height} pixels" in done.stdout
        return np.array(sheet)


def places_of(sheet, picture):
    """Where a picture lies in the sheet, to the last bit: row and column of each place."""
    height, width = picture.shape[:2]
    row, column = height // 2, width // 2
    corner = (sheet == picture[row, column]).all(axis=2)
    found = []
    for y, x in np.argwhere(corner):
        top, left = y - row, x - column
        if top >= 0 and left >= 0 and np.array_equal(sheet[top : top + height, left : left + width], picture):
            found.append((int(top), int(left)))
    return found


def fitted(picture, how=Image.Resampling.LANCZOS):
    """A picture as it is fitted into its box."""
    height, width = picture.shape[:2]
    scale = min(BOX[0] / width, BOX[1] / height)
    return np.array(Image.fromarray(picture).resize((round(width * scale), round(height * scale)), how))


def coloured(label, void=255):
    small = fitted(label, Image.Resampling.NEAREST)
    colours = PALETTE[small]
    colours[small == void] = hatched(*small.shape)[small == void]
    return colours


def over(image, label):
    return np.rint(fitted(image) * 0.4 + coloured(label) * 0.6).astype(np.uint8)


@pytest.mark.parametrize(
    ("count", "most", "chosen"), [(1, 12, [0]), (3, 12, [0, 1, 2]), (100, 5, [0, 25, 50, 74, 99]), (9, 1, [0])]
)
def test_samples_are_spread_over_the_list(count, most, chosen):
    assert spread(count, most) == chosen


def test_void_is_unlike_any_colour_of_the_palette():
    stripes = hatched(40, 40)
    assert {tuple(pixel) for row in stripes for pixel in row} == {(0, 0, 0), (255, 255, 255)}
    assert 0.4 < (stripes == 255).mean() < 0.6
    assert not (PALETTE == 255).all(axis=1).any()


def test_real_pairs_from_the_dataset_and_from_its_databases(realdata, tmp_path, run):
    voc = realdata / "VOCdevkit" / "VOC2012"
    ids = (voc / "ImageSets/Segmentation/val.txt").read_text().split()
    sheet = drawn_sheet(run, tmp_path, voc, "--split", "val", "--jobs", "2")
    assert run("voc", "--source", voc, "--out", tmp_path / "o", "--split", "val", "--images", "raw").exit_code == 0
    made = drawn_sheet(run, tmp_path, tmp_path / "o")
    for one in ids:
        image = np.array(Image.open(voc / f"JPEGImages/{one}.jpg"))
        label = np.array(Image.open(voc / f"SegmentationClass/{one}.png"))
        for drawn in (sheet, made):
            [(top, left)] = places_of(drawn, fitted(image))
            assert places_of(drawn, coloured(label)) == [(top, left + BOX[0] + 8)]
            assert places_of(drawn, over(image, label)) == [(top, left + 2 * (BOX[0] + 8))]


def test_both_labels_of_siftflow(draw_siftflow, tmp_path, run):
    ids = ["coast_natu975", "street_par29", "forest_for114"]
    truth = draw_siftflow(tmp_path / "SiftFlowDataset", ids, ["coast_sun14"])
    sheet = drawn_sheet(run, tmp_path, tmp_path / "SiftFlowDataset", "--samples", "2")
    sem, geo = (coloured(truth[ids[2]][place][0, 0].astype(np.uint8)) for place in (1, 2))
    [(top, left)] = places_of(sheet, sem)
    assert places_of(sheet, geo) == [(top, left + BOX[0] + 8)]
    assert not places_of(sheet, coloured(truth[ids[1]][1][0, 0].astype(np.uint8)))


def test_colour_hha_depth_and_label_of_nyud(nyud_source, tmp_path, run):
    out = tmp_path / "nyud"
    made = run("nyud", "--source", nyud_source.folder, "--out", out)
    assert made.exit_code == 0, made.output
    one = (out / "trainval.txt").read_text().split()[0]
    image, hha, depth = (
        np.array(Image.open(out / f"data/{kind}/img_{one}.png")) for kind in ("images", "hha", "depth")
    )
    step = BOX[0] + 8
    for folder in (out / "nyud_trainval", out):
        sheet = drawn_sheet(run, tmp_path, folder)
        [(top, left)] = places_of(sheet, fitted(image))
        assert places_of(sheet, fitted(hha)) == [(top, left + step)]
        grey = 255.0 * (depth.max() - depth.astype(float)) / (depth.max() - depth.min())
        [there] = places_of(sheet, fitted(np.repeat(grey.astype(np.uint8)[..., None], 3, 2)))
        assert there == (top, left + 2 * step)


def small(contents, **values):
    """Samples of one key with these parts."""
    return Samples("there", None, ["one"], contents, {"label": ("ground", "fünfzig", "Straße")}, lambda key: values)


def test_captions_hold_each_class_and_its_colour_once():
    label = np.zeros((1, 20, 30), np.uint8)
    label[:, :5], label[:, 5:8] = 1, 9
    image = np.full((3, 20, 30), 128, np.uint8)
    contents = {"image": Contents("image"), "label": Contents("label", 10, 255)}
    sheet, faults = contact_sheet(small(contents, image=image, label=label))
    assert not faults
    below = np.array(sheet)[-40:]
    swatches = [places_of(below, np.broadcast_to(PALETTE[value], (9, 9, 3))) for value in (0, 1, 9)]
    assert [len(found) for found in swatches] == [1, 1, 1]
    lefts = [found[0][1] for found in swatches]
    assert lefts == sorted(lefts)  # ground is the largest, then class 1, then class 9


def test_a_sheet_of_many_classes_keeps_its_width():
    label = np.arange(250, dtype=np.uint8).reshape(1, 10, 25)
    contents = {"image": Contents("image"), "label": Contents("label", 250, None)}
    few, many = (
        contact_sheet(small(contents, image=np.zeros((3, 10, 25), np.uint8), label=one))[0]
        for one in (label * 0, label)
    )
    assert many.width == few.width
    assert many.height == few.height + 4 * 16


def test_images_alone_and_hha_alone_are_shown(tmp_path):
    for kind in ("image", "hha"):
        values = np.zeros((3, 20, 30), np.uint8)
        values[0] = 200
        sheet, _ = contact_sheet(small({kind: Contents(kind)}, **{kind: values}))
        wanted = (0, 0, 200) if kind == "image" else (200, 0, 0)  # of images the first channel is blue
        assert len(places_of(np.array(sheet), np.broadcast_to(np.uint8(wanted), (160, 240, 3)))) == 1


def test_a_faulty_sample_is_shown_by_its_fault(drawn, tmp_path, run):
    write_list(tmp_path / "few.txt", drawn.train[:3])
    (drawn.sbdd_dir / f"img/{drawn.train[1]}.jpg").unlink()
    done = run("contact-sheet", drawn.sbdd_dir, "--split", tmp_path / "few.txt", "--out", tmp_path / "s.png")
    assert done.exit_code == 1
    assert f"{drawn.train[1]}.jpg' is missing" in done.stderr
    assert "1 faulty sample, shown by what is wrong" in done.stderr
    red = (np.array(Image.open(tmp_path / "s.png")) == (190, 0, 0)).all(axis=2)
    assert red.sum() > 100
    _, faults = contact_sheet(open_samples(drawn.sbdd_dir, split=str(tmp_path / "few.txt")))
    assert [fault.image_id for fault in faults] == [drawn.train[1]]


def test_what_cannot_be_drawn(drawn, databases, tmp_path, run):
    (tmp_path / "db").rename(tmp_path / "all_1")
    assert run("voc", "--source", drawn.voc_dir, "--out", tmp_path / "all").exit_code == 0
    (tmp_path / "all_1").rename(tmp_path / "all/more")
    several = run("contact-sheet", tmp_path / "all", "--out", tmp_path / "s.png")
    assert several.exit_code == 1
    assert f"'{tmp_path / 'all'}' holds several lists: more, voc2011_" in several.stderr
    (tmp_path / "file").write_text("")
    below_a_file = run("contact-sheet", tmp_path / "all/more", "--out", tmp_path / "file/s.png")
    assert below_a_file.exit_code == 1
    assert "cannot be written" in below_a_file.stderr
    nothing = Samples("there", None, ["one"], {"raw": Contents("raw depth")}, {}, dict)
    with pytest.raises(DataError, match="'there' holds no samples to show"):
        contact_sheet(nothing)
