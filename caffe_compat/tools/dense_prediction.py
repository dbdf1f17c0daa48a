"""``dense_prediction NET.prototxt NET.caffemodel``: a strided net at every pixel, in two ways that must agree.

    caffe-compat dense_prediction vgg16_conv.prototxt vgg16_conv.caffemodel -blob fc8 -stride 8 -image cat.jpg \
        -mean 104.007,116.669,122.679 -out map.npy -out_prototxt dense.prototxt -out_caffemodel dense.caffemodel

Shift-and-stitch runs the net once for every shift of the image below its stride and interlaces what comes out. Filter
rarefaction (``caffe_compat.tools.rarefaction``) runs once a net without strides whose filters are dilated. Both maps
are equal wherever a position sees nothing but image; where padding comes in they differ, since the zeros lie at other
places in a shifted image. The verb runs both, says how far they are apart there and how long each took, and fails if
they differ.

Source: CVPR 2015, section 3.2.
"""

import math
import time
from collections.abc import Sequence

import click
import numpy as np

from caffe_compat.errors import NetError
from caffe_compat.net.net import Net
from caffe_compat.pictures import load_image
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.proto.text import read_net, write_text
from caffe_compat.proto.whole_file import replacing
from caffe_compat.tools.flags import FlagCommand, flag
from caffe_compat.tools.rarefaction import Axis, Rarefied, rarefied

__all__ = ["dense_prediction", "largest_difference", "run", "shift_and_stitch", "unpadded"]

_TOLERANCE = 1e-4  # of the largest value: sums in another order


@click.command(cls=FlagCommand)
@click.argument("prototxt", metavar="NET.prototxt")
@click.argument("weights", metavar="NET.caffemodel")
@flag("blob", "What to give at every pixel; the net's last output unless named.")
@flag("stride", "Distance of the map's positions, pixels; strides up to it are kept.", 1, click.IntRange(1))
@flag(
    "image",
    "A picture, 0 to 255 in the order B, G, R; noise, of the net's input's size or as a map needs, unless given.",
)
@flag("mean", "What is taken off the picture's channels: B,G,R.")
@flag("out", "Write the map of filter rarefaction, C x H x W, as .npy.")
@flag("out_prototxt", "Write the rarefied net.")
@flag("out_caffemodel", "Write its weights.")
def dense_prediction(
    prototxt: str, weights: str, blob: str, stride: int, image: str, mean: str, out: str, out_prototxt: str,
    out_caffemodel: str,
) -> None:  # fmt: skip
    """Give a strided net's output at every pixel by filter rarefaction and by shift-and-stitch, and compare them.

    NET.prototxt is a deploy form of convolutions, pooling and neurons, as convolutionalize writes it.
    """
    net = Net(read_net(prototxt), TEST, weights=weights)
    wanted = blob or net.outputs[-1]
    shape = _input_shape(net)
    dense = rarefied(net, wanted, stride)
    given = _picture(image, mean) if image else _noise(shape, dense.axes)
    begin = time.perf_counter()
    filled = run(dense.net, given, wanted)
    middle = time.perf_counter()
    stitched = shift_and_stitch(net, given, dense)
    end = time.perf_counter()
    height, width = dense.axes
    shifts = height.dilation * width.dilation
    click.echo(
        f"{wanted}: {_by(filled.shape)} at stride {height.stride_px} x {width.stride_px} "
        f"(the net's is {height.full_stride_px} x {width.full_stride_px}) for {_by(given.shape)} pixels"
    )
    click.echo(f"filter rarefaction {middle - begin:.2f} s, shift-and-stitch {end - middle:.2f} s in {shifts} passes")
    apart = largest_difference(filled, stitched, dense, given.shape[2:])
    click.echo(f"largest difference {apart:.2g} of the largest value, where no padding is seen")
    if not apart <= _TOLERANCE:
        raise NetError(f"{weights}: the two maps differ by more than {_TOLERANCE:g}; nothing was written")
    if out:
        with replacing(out) as temporary, open(temporary, "wb") as file:
            np.save(file, filled[0])
    if out_prototxt:
        write_text(out_prototxt, dense.param)
    if out_caffemodel:
        dense.net.save(out_caffemodel)


def run(net: Net, image: np.ndarray, blob: str) -> np.ndarray:
    """A blob for an image (N x C x H x W) of any size, as a copy."""
    net.blobs[net.inputs[0]].reshape(*image.shape)
    net.reshape()
    net.blobs[net.inputs[0]].data[...] = image
    net.forward()
    values: np.ndarray = net.blobs[blob].data.copy()
    return values


def shift_and_stitch(net: Net, image: np.ndarray, dense: Rarefied) -> np.ndarray:
    """The net's own outputs for every shift of the image, interlaced.

    Args:
        net: strided.
        image: N x C x H x W.
        dense: its rarefied twin, which says what blob, at what distances.

    Returns:
        N x C x H' x W'; NaN where no shift gives a value, at the lower and right border.

    Raises:
        NetError: the image is too small for the net.
    """
    vertical, horizontal = dense.axes
    whole_stride = max(axis.full_stride_px for axis in dense.axes)
    strided = rarefied(net, dense.blob, whole_stride).net  # as it is, without what comes after the blob
    parts = {
        (y, x): run(strided, image[:, :, y * vertical.stride_px :, x * horizontal.stride_px :], dense.blob)
        for y in range(vertical.dilation)
        for x in range(horizontal.dilation)
    }
    first = parts[0, 0]
    rows, columns = first.shape[2] * vertical.dilation, first.shape[3] * horizontal.dilation
    stitched = np.full((*first.shape[:2], rows, columns), np.nan, np.float32)
    for (y, x), part in parts.items():
        place = stitched[:, :, y :: vertical.dilation, x :: horizontal.dilation]
        place[:, :, : part.shape[2], : part.shape[3]] = part
    return stitched


def unpadded(axis: Axis, side_px: int) -> slice:
    """The positions that see nothing but image, in all shifts, of a map over an image of that height or width."""
    first = math.ceil(max(0, -axis.first_px) / axis.full_stride_px) * axis.dilation
    last = (side_px - axis.extent_px - axis.first_px) // axis.stride_px
    return slice(first, max(first, last + 1))


def largest_difference(filled: np.ndarray, stitched: np.ndarray, dense: Rarefied, size_px: Sequence[int]) -> float:
    """How far both maps are apart where no padding is seen, relative to the largest value there.

    Args:
        filled: of filter rarefaction, N x C x H x W.
        stitched: of shift-and-stitch.
        dense: the rarefied net.
        size_px: height and width of the image.

    Raises:
        NetError: there is no such position: the image is smaller than what a position sees.
    """
    rows, columns = (unpadded(axis, side) for axis, side in zip(dense.axes, size_px, strict=True))
    one, other = filled[:, :, rows, columns], stitched[:, :, rows, columns]
    if not one.size:
        seen = _by([axis.extent_px + axis.full_stride_px for axis in dense.axes])
        raise NetError(
            f"blob '{dense.blob}': no position of a {_by(size_px)} image sees image alone; give one of {seen} or more"
        )
    return float(np.abs(one - other).max() / max(float(np.abs(one).max()), float(np.finfo(np.float32).tiny)))


def _picture(path: str, mean: str) -> np.ndarray:
    picture = 255 * load_image(path)[:, :, ::-1]
    if mean:
        try:
            picture = picture - np.array([float(part) for part in mean.split(",")], np.float32).reshape(3)
        except ValueError:
            raise click.UsageError(f"-mean={mean}: give three numbers, B,G,R") from None
    return picture.transpose(2, 0, 1)[None]


def _input_shape(net: Net) -> Sequence[int]:
    shape = net.blobs[net.inputs[0]].shape if net.inputs else ()
    if len(shape) != 4:
        raise NetError(
            f"net '{net.name}': its first input is not N x C x H x W; "
            "give the deploy prototxt, whose images come from an Input layer"
        )
    return shape


def _noise(shape: Sequence[int], axes: Sequence[Axis]) -> np.ndarray:
    """An image of that shape, or larger: some positions must see image alone in every shift."""
    sides = [max(side, axis.extent_px + axis.full_stride_px) for side, axis in zip(shape[2:], axes, strict=True)]
    return np.random.default_rng(0).normal(0, 50, (*shape[:2], *sides)).astype(np.float32)


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
