"""Reading label images as class numbers, and what is refused."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from caffe_compat.errors import DataError
from data_prep.contents import check_sizes
from data_prep.labels import (
    VOC_CLASSES,
    check_label,
    decode_label,
    encode_label,
    label_from_colours,
    pixel_counts,
    read_label,
    voc_palette,
)

# pixels of class 0 to 20 and of void in the labels of seg11valid, counted by a third party (see realdata/README.md)
SEG11VALID_PIXELS = """90730503 909327 332697 1120958 566747 1165929 1791924 1592013 2942851 1506794 1593248 1911304
    2308630 1027153 1393724 6682736 713781 1043603 2096985 2125967 982492 7051801"""


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, format="PNG")
    return out.getvalue()


def test_the_palette_is_that_of_vocs_own_files(realdata):
    with Image.open(realdata / "VOCdevkit/VOC2012/SegmentationClass/2007_000129.png") as image:
        theirs = np.array(image.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(voc_palette()[: len(theirs)], theirs)


def test_known_colours_of_the_palette():
    assert voc_palette()[[0, 1, 15, 20, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]
    assert len(VOC_CLASSES) == 21
    assert VOC_CLASSES[15] == "person"


@pytest.mark.parametrize("palette", [None, voc_palette()], ids=["grey", "palette"])
def test_class_numbers_survive_a_png(palette):
    label = np.arange(256, dtype=np.uint8).reshape(8, 32)
    np.testing.assert_array_equal(decode_label(encode_label(label, palette), "x"), label)


def test_sixteen_bit_files_with_class_numbers_are_read():
    label = np.array([[0, 20], [255, 3]], np.uint16)
    decoded = decode_label(png(label), "x")
    assert decoded.dtype == np.uint8
    assert decoded.tolist() == label.tolist()


def test_the_736_real_labels_have_the_recorded_pixel_counts(realdata):
    files = sorted((realdata / "labels_seg11valid").glob("*.png"))
    assert len(files) == 736
    total = Counter()
    for file in files:
        total.update(pixel_counts(read_label(file)))
    assert [total[value] for value in [*range(21), 255]] == [int(word) for word in SEG11VALID_PIXELS.split()]


def test_colours_where_class_numbers_were_expected_are_refused():
    rgb = voc_palette()[np.array([[0, 15], [255, 1]])]
    with pytest.raises(
        DataError, match=r"label 'a\.png' is an image of mode RGB; wanted class numbers, as a palette or"
    ):
        decode_label(png(rgb), "a.png")
    assert label_from_colours(rgb, "a.png").tolist() == [[0, 15], [255, 1]]


def test_the_released_demos_answer_reads_back_from_its_colours(realdata):
    with Image.open(realdata / "fcn_demo/output.png") as image:
        label = label_from_colours(np.array(image.convert("RGB")), "output.png")
    assert set(np.unique(label)) >= {0, 2, 15}


def test_a_colour_outside_the_palette_is_named():
    rgb = np.zeros((2, 3, 3), np.uint8)
    rgb[1, 2] = 1, 2, 3
    with pytest.raises(DataError, match=r"colour \(1, 2, 3\) at row 1, column 2 is not in the palette"):
        label_from_colours(rgb, "a.png")


def test_a_value_outside_the_classes_is_named_with_its_pixel():
    label = np.zeros((4, 5), np.uint8)
    label[2, 3] = label[3, 0] = 21
    label[0, 0] = 255
    check_label(label, "a.png", 22)
    wanted = (
        r"label 'a\.png': value 21 at row 2, column 3 is outside the classes 0 to 20 \(void is 255\); "
        r"so are 2 of its 20 pixels in all"
    )
    with pytest.raises(DataError, match=wanted):
        check_label(label, "a.png")


def test_void_is_refused_where_there_is_none():
    with pytest.raises(
        DataError, match=r"value 255 at row 0, column 0 is outside the classes 0 to 4 \(there is no void"
    ):
        check_label(np.full((2, 2), 255, np.uint8), "a.png", 5, void=None)


def test_a_sixteen_bit_value_is_no_class_number():
    with pytest.raises(DataError, match="value 300 at row 0, column 1 is outside the range 0 to 255"):
        decode_label(png(np.array([[1, 300]], np.uint16)), "a.png")


def test_another_size_than_the_image_names_both():
    wanted = r"^label 'a\.png' is 5 x 4 pixels \(width x height\) but image 'a\.jpg' is 6 x 4; they must be equal: rep"
    with pytest.raises(DataError, match=wanted):
        check_sizes({"image 'a.jpg'": (4, 6, 3), "depth 'a.npy'": (4, 6), "label 'a.png'": (4, 5)})


@pytest.mark.parametrize("cut", [0, 20, 60])
def test_a_damaged_file_is_named(cut):
    data = encode_label(np.random.RandomState(0).randint(0, 20, (40, 40)).astype(np.uint8))
    with pytest.raises(DataError, match=r"label 'a\.png' is damaged or not an image"):
        decode_label(data[:cut], "a.png")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.png' cannot be read \(No such file"):
        read_label(tmp_path / "a.png")
