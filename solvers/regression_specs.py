"""Published figures that hang on the nets' specs alone: Table 1, VGG's sizes, crop offsets. No data, no weights."""

from collections.abc import Iterator

from nets.catalogue import lookup
from nets.classifiers import INPUT_SHAPE, build
from nets.geometry import places
from nets.size import parameter_count
from nets.sources import InputData
from solvers.findings import Finding
from solvers.published import CROP_OFFSETS, TABLE_1, VGG_MILLIONS

__all__ = ["check_specs"]


def check_specs() -> Iterator[Finding]:
    """One finding for each net."""
    for model, column in TABLE_1.items():
        net = lookup(model).build(InputData({"data": (1, 3, 500, 500)}))
        coarse = places(net)["score_fr"]
        measured = (coarse.depth, parameter_count(net) / 1e6, coarse.receptive_field_px, int(coarse.stride))
        published = (column.conv_layers, column.parameters, column.receptive_field_px, column.stride_px)
        right = (measured[0], round(measured[1]), *measured[2:]) == published
        text = "{} convolution layers, {:.1f}M parameters, receptive field {}, stride {}".format(*measured)
        yield _finding(right, f"{model}, CVPR Table 1", text, "{}, {}M, {}, {}".format(*published))
    for name, millions in VGG_MILLIONS.items():
        count = parameter_count(build(f"vgg-{name.lower()}", InputData({"data": INPUT_SHAPE})))
        yield _finding(round(count / 1e6) == millions, f"VGG {name}", f"{count:,} parameters", f"{millions}M")
    for model, offsets in CROP_OFFSETS.items():
        net = lookup(model).build(InputData({"data": (1, 3, 500, 500)}))
        found = tuple(layer.crop_param.offset[0] for layer in net.layer if layer.type == "Crop")
        yield _finding(found == offsets, f"{model}, crop offsets", ", ".join(map(str, found)), str(offsets))


def _finding(right: bool, name: str, text: str, published: str) -> Finding:
    return Finding("agrees", name, text) if right else Finding("OUTSIDE", name, f"{text}; published: {published}")
