"""The published figures, in parts of 1, with source and tolerance: the one table that scores are held against.

P's figures and table numbers (see SOURCES) are as commonly cited and were not read again: expected values, not asserted
truth.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from data_prep.lists import PUBLISHED_SIZES

__all__ = [
    "ALL_BACKGROUND",
    "CROP_OFFSETS",
    "DEMO_LABEL",
    "INFERENCE_SECONDS",
    "LOSSES",
    "OTHERS",
    "PUBLISHED",
    "RELEASED_WEIGHTS",
    "RETRAINED",
    "SEG11VALID_PIXELS",
    "SOURCES",
    "SPLIT_IMAGES",
    "TABLE_1",
    "VGG_MILLIONS",
    "VOC12VAL_PIXELS",
    "Architecture",
    "Demo",
    "Row",
]

SOURCES = {
    "R": "README of the release",
    "W": "released weights, scored again by others",
    "C": "CVPR 2015 paper",
    "P": "PAMI 2016 paper, as commonly cited",
    "L": "label files alone",
}


@dataclass(frozen=True)
class Row:
    """One published result; a figure that was not published is None.

    Args:
        source: a key of SOURCES.
        pixel_accuracy: and the other three as in solvers.metrics.
        tolerance: how far from each figure a score of the weights that it was measured with may lie.
        split: what it was measured on; ``seg11valid`` has 736 images.
        task: for nets with several, the one that it is of.
        table: which table of the source.
    """

    source: str
    pixel_accuracy: float | None = None
    mean_accuracy: float | None = None
    mean_iu: float | None = None
    fw_iu: float | None = None
    tolerance: float = 0.001  # in per cent 0.1: 0.05 as below, and 0.05 for figures that are rounded to 0.1
    split: str = "seg11valid"
    task: str = ""
    table: str = ""


_CONVERTED = 0.0005  # in per cent 0.05: converted weights, pictures of another JPEG decoder
_EXACT = 1e-10  # counts of label pixels, to every published digit
_NYUD, _SIFT, _CONTEXT = "NYUDv2 test", "SIFT Flow test", "PASCAL-Context val"

SPLIT_IMAGES: Mapping[str, int] = {
    "seg11valid": PUBLISHED_SIZES["voc2011", "seg11valid"],
    "VOC2012 val": PUBLISHED_SIZES["voc2012", "val"],
    _NYUD: PUBLISHED_SIZES["nyud", "test"],
    _SIFT: PUBLISHED_SIZES["siftflow", "test"],
    _CONTEXT: PUBLISHED_SIZES["pascalcontext", "val"],
}
"""Images in the lists that rows are of. A score of fewer is held against no row."""

PUBLISHED: dict[str, tuple[Row, ...]] = {
    "voc-fcn32s": (
        Row("R", mean_iu=0.636),
        Row("W", 0.90481, 0.76482, 0.63626, 0.83458, _CONVERTED),
        Row("C", 0.891, 0.733, 0.594, 0.814, table="2"),
        Row("P", 0.905, 0.765, 0.636, 0.835, table="3"),
    ),
    "voc-fcn16s": (
        Row("R", mean_iu=0.650),
        Row("W", 0.90997, 0.78071, 0.65005, 0.84261, _CONVERTED),
        Row("C", 0.900, 0.757, 0.624, 0.830, table="2"),
        Row("P", 0.910, 0.781, 0.650, 0.843, table="3"),
    ),
    "voc-fcn8s": (
        Row("R", mean_iu=0.655),
        Row("R", mean_iu=0.672, split="VOC2012 test"),
        Row("W", 0.91221, 0.77615, 0.65513, 0.84545, _CONVERTED),
        Row("C", 0.903, 0.759, 0.627, 0.832, table="2"),
        Row("C", mean_iu=0.627, split="VOC2011 test", table="3"),
        Row("C", mean_iu=0.622, split="VOC2012 test", table="3"),
        Row("P", 0.912, 0.776, 0.655, 0.845, table="3"),
        Row("P", mean_iu=0.675, split="VOC2011 test", table="4"),
        Row("P", mean_iu=0.672, split="VOC2012 test", table="4"),
    ),
    "voc-fcn8s-atonce": (
        Row("R", mean_iu=0.654),
        Row("W", 0.91129, 0.78498, 0.65400, 0.84433, _CONVERTED),
        Row("P", 0.911, 0.785, 0.654, 0.844, table="3"),
    ),
    "voc-fcn-alexnet": (Row("R", mean_iu=0.480), Row("C", mean_iu=0.398, table="1")),
    "nyud-fcn32s-color": (
        Row("C", 0.600, 0.422, 0.292, 0.439, split=_NYUD, table="4"),
        Row("P", 0.618, 0.447, 0.316, 0.460, split=_NYUD, table="5"),
    ),
    "nyud-fcn32s-color-d": (
        Row("C", 0.615, 0.424, 0.305, 0.455, split=_NYUD, table="4"),
        Row("P", 0.621, 0.448, 0.317, 0.463, split=_NYUD, table="5"),
    ),
    "nyud-fcn32s-hha": (
        Row("C", 0.571, 0.352, 0.242, 0.404, split=_NYUD, table="4"),
        Row("P", 0.583, 0.357, 0.252, 0.417, split=_NYUD, table="5"),
    ),
    "nyud-fcn32s-color-hha": (
        Row("C", 0.643, 0.449, 0.328, 0.480, split=_NYUD, table="4"),
        Row("P", 0.653, 0.440, 0.333, 0.486, split=_NYUD, table="5"),
    ),
    "siftflow-fcn32s": (),
    "siftflow-fcn16s": (
        Row("C", 0.852, 0.517, 0.395, 0.761, split=_SIFT, task="semantic", table="5"),
        Row("C", 0.943, split=_SIFT, task="geometric", table="5"),
    ),
    "siftflow-fcn8s": (
        Row("P", 0.859, 0.539, 0.412, 0.772, split=_SIFT, task="semantic", table="6"),
        Row("P", 0.946, split=_SIFT, task="geometric", table="6"),
    ),
    "pascalcontext-fcn32s": (
        Row("C", mean_iu=0.318, split=_CONTEXT, table="6"),
        Row("P", 0.655, 0.491, 0.367, 0.509, split=_CONTEXT, table="7"),
    ),
    "pascalcontext-fcn16s": (
        Row("C", mean_iu=0.348, split=_CONTEXT, table="6"),
        Row("P", 0.669, 0.513, 0.384, 0.523, split=_CONTEXT, table="7"),
    ),
    "pascalcontext-fcn8s": (
        Row("C", mean_iu=0.351, split=_CONTEXT, table="6"),
        Row("P", 0.675, 0.523, 0.391, 0.530, split=_CONTEXT, table="7"),
    ),
    "voc-fcn32s-fixed": (
        Row("C", 0.830, 0.597, 0.454, 0.720, table="2"),
        Row("P", 0.829, 0.646, 0.466, 0.723, table="3"),
    ),
    "voc-fcn-pool5": (Row("P", 0.874, 0.605, 0.500, 0.785, table="3"),),
    "voc-fcn-pool4": (Row("P", 0.787, 0.317, 0.224, 0.670, table="3"),),
    "voc-fcn-pool3": (Row("P", 0.709, 0.137, 0.092, 0.576, table="3"),),
    "voc-fcn32s-accumulated": (Row("C", mean_iu=0.560, table="1"), Row("P", 0.860, 0.665, 0.519, 0.765, table="2")),
    "voc-fcn32s-online": (Row("P", 0.893, 0.762, 0.607, 0.818, table="2"),),
    "voc-fcn-googlenet": (Row("C", mean_iu=0.425, table="1"),),
    "nyud-fcn16s-color-hha": (Row("C", 0.654, 0.461, 0.340, 0.495, split=_NYUD, table="4"),),
    "voc-fcn8s-vgg19": (),
    "voc-fcn32s-sampled": (),
    "voc-fcn32s-balanced": (),
    "voc-fcn8s-learned": (),
}
"""By model, those of the release first. FCN-VGG16 of Table 1 (C, mean IU 56.0) is voc-fcn32s-accumulated; the "heavy"
training of P's table 2 is voc-fcn32s. PASCAL-Context is in the appendix of C's arXiv form."""

RELEASED_WEIGHTS: Mapping[str, str] = {
    "voc-fcn32s": "fcn32s-heavy-pascal.caffemodel",
    "voc-fcn16s": "fcn16s-heavy-pascal.caffemodel",
    "voc-fcn8s": "fcn8s-heavy-pascal.caffemodel",
    "voc-fcn8s-atonce": "fcn8s-atonce-pascal.caffemodel",
    "voc-fcn-alexnet": "fcn-alexnet-pascal.caffemodel",
    **{
        model: f"{model}-heavy.caffemodel"
        for model in (
            *("nyud-fcn32s-color", "nyud-fcn32s-hha", "nyud-fcn32s-color-hha"),
            *("siftflow-fcn32s", "siftflow-fcn16s", "siftflow-fcn8s"),
            *("pascalcontext-fcn32s", "pascalcontext-fcn16s", "pascalcontext-fcn8s"),
        )
    },
}
"""File names of the released weights; those of nyud-fcn32s-color-d never were."""

RETRAINED: Mapping[str, tuple[float, float]] = {
    "voc-fcn32s": (0.623, 0.638),
    "voc-fcn16s": (0.649, 0.654),
    "voc-fcn8s": (0.655, 0.658),
    "voc-fcn8s-atonce": (0.640, 0.653),
}
"""Lowest and highest mean IU on seg11valid that others have come to by training with the released files."""


@dataclass(frozen=True)
class Architecture:
    """A column of the CVPR paper's Table 1.

    Args:
        conv_layers: on the way from image to scores, interpolation left out.
        parameters: learned ones, in millions, rounded.
        receptive_field_px: of the coarsest features.
        stride_px: of the coarsest features.
        milliseconds: forward pass on a Tesla K40c at 500 x 500, mean of 20 trials.
    """

    conv_layers: int
    parameters: int
    receptive_field_px: int
    stride_px: int
    milliseconds: float


TABLE_1: Mapping[str, Architecture] = {
    "voc-fcn-alexnet": Architecture(8, 57, 355, 32, 50),
    "voc-fcn32s": Architecture(16, 134, 404, 32, 210),
    "voc-fcn-googlenet": Architecture(22, 6, 907, 32, 59),
}

INFERENCE_SECONDS: Mapping[str, float] = {"SDS": 50, "FCN-8s": 0.175}
"""About how long an image takes: the CVPR paper's Table 3, on a K40c."""

VGG_MILLIONS: Mapping[str, int] = {"A": 133, "A-LRN": 133, "B": 133, "C": 134, "D": 138, "E": 144}
"""Millions of parameters of the classifiers: Table 2 of Simonyan and Zisserman, 2015."""

CROP_OFFSETS: Mapping[str, tuple[int, ...]] = {
    "voc-fcn32s": (19,),
    "voc-fcn16s": (5, 27),
    "voc-fcn8s": (5, 9, 31),
    "voc-fcn8s-atonce": (5, 9, 31),
    "voc-fcn-alexnet": (18,),
}
"""Offsets of the Crop layers in the released VOC nets, in their order; the other datasets' nets have those of VOC's."""

ALL_BACKGROUND: Mapping[str, Row] = {
    "VOC2012 val": Row(
        "L", 0.733180213097, 0.047619047619, 0.0349133434808, 0.537553224877, _EXACT, split="VOC2012 val"
    ),
    "seg11valid": Row("L", 0.728528704731, 1 / 21, 0.0346918430824, 0.530754073617, _EXACT),
}
"""A prediction of background everywhere; the first as the released score.py logged it, the second from the labels."""

SEG11VALID_PIXELS: tuple[int, ...] = (
    *(90730503, 909327, 332697, 1120958, 566747, 1165929, 1791924, 1592013, 2942851, 1506794, 1593248),
    *(1911304, 2308630, 1027153, 1393724, 6682736, 713781, 1043603, 2096985, 2125967, 982492),
)
"""True pixels of each class in the labels of seg11valid; 7,051,801 more are void."""

VOC12VAL_PIXELS: tuple[int, ...] = (
    *(179546198, 1923813, 812837, 2151885, 1348653, 1921777, 4320752, 3593454, 5720951, 2114193, 2966844),
    *(2864750, 5034389, 2641937, 2587440, 12999623, 1234562, 1932805, 3479235, 3919005, 1771754),
)
"""The same of VOC2012's val; 14,232,845 more are void."""


@dataclass(frozen=True)
class Demo:
    """The released demo's output, held against its label.

    Args:
        pixel_accuracy: of the pixels that are not void.
        class_iu: IU by class, of those in the label.
        tolerance: of each figure.
    """

    pixel_accuracy: float
    class_iu: Mapping[int, float]
    tolerance: float


DEMO_LABEL = Demo(0.842514, {0: 0.777294, 2: 0.662082, 15: 0.719470}, 1e-6)
"""demo/output.png of the release, in VOC's colours, against demo/label.png."""

LOSSES: Mapping[str, float] = {"-log(FLT_MIN)": 87.3365, "log(21)": 3.0445}
"""Losses in public logs: where the probability is 0, and at a uniform start, normalised."""

OTHERS: Mapping[str, tuple[Row, ...]] = {
    "R-CNN": (Row("C", mean_iu=0.479, split="VOC2011 test", table="3"),),
    "SDS": (
        Row("C", mean_iu=0.526, split="VOC2011 test", table="3"),
        Row("C", mean_iu=0.516, split="VOC2012 test", table="3"),
    ),
    "Gupta et al.": (Row("C", 0.603, None, 0.286, 0.470, split=_NYUD, table="4"),),
    "Liu et al.": (Row("C", 0.767, split=_SIFT, task="semantic", table="5"),),
    "Tighe et al. 2010": (Row("C", 0.908, split=_SIFT, task="geometric", table="5"),),
    "Tighe et al. 1": (Row("C", 0.756, 0.411, split=_SIFT, task="semantic", table="5"),),
    "Tighe et al. 2": (Row("C", 0.786, 0.392, split=_SIFT, task="semantic", table="5"),),
    "Farabet et al. 1": (Row("C", 0.723, 0.508, split=_SIFT, task="semantic", table="5"),),
    "Farabet et al. 2": (Row("C", 0.785, 0.296, split=_SIFT, task="semantic", table="5"),),
    "Pinheiro et al.": (Row("C", 0.777, 0.298, split=_SIFT, task="semantic", table="5"),),
}
"""Other methods in the paper's tables, for reference."""
