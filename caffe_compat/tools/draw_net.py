"""``draw_net IN OUT``: the layers and blobs of a net as a picture. Needs pydot, and Graphviz for all but .dot files.

    caffe-compat draw_net deploy.prototxt net.png --rankdir TB

Source: BVLC/caffe python/draw_net.py.
"""

from pathlib import Path

import click

from caffe_compat.proto.caffe_pb2 import Phase
from caffe_compat.proto.text import read_net
from caffe_compat.spec.draw import draw_net_to_file
from caffe_compat.tools.flags import FlagCommand, flag, switch

__all__ = ["draw_net"]


@click.command(cls=FlagCommand)
@click.argument("input_net_proto_file", metavar="IN")
@click.argument("output_image_file", metavar="OUT")
@flag("rankdir", "Direction of data: TB, BT, LR or RL.", "LR", click.Choice(("TB", "BT", "LR", "RL")))
@flag("phase", "Only the layers of this phase.", "ALL", click.Choice((*Phase.keys(), "ALL")))
@switch("display_lrm", "Write the learning rate multipliers into the boxes.")
def draw_net(input_net_proto_file: str, output_image_file: str, rankdir: str, phase: str, display_lrm: bool) -> None:
    """Draw the net of the prototxt IN into OUT, whose suffix tells the kind of picture (.png, .svg, .dot, ...)."""
    if not Path(output_image_file).suffix:
        raise click.UsageError(f"{output_image_file}: a suffix must tell the kind of picture, such as .png or .dot")
    net = read_net(input_net_proto_file)
    click.echo(f"Drawing net to {output_image_file}")
    draw_net_to_file(net, output_image_file, rankdir, None if phase == "ALL" else Phase.Value(phase), display_lrm)
