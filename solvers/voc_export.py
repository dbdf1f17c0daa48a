"""Results for PASCAL VOC's test server: palette PNGs in the folders that it wants, and the tar to upload.

    python -m solvers.voc_export voc-fcn8s fcn8s-heavy-pascal.caffemodel VOCdevkit/VOC2012 --out submission

writes ``submission/results/VOC2012/Segmentation/comp6_test_cls/ID.png`` for every image of the test list, and
``submission/results_VOC2012.tar`` of them. comp6 is for nets trained on other images too (SBD).

Source: the VOC2011 and VOC2012 development kits' documentation.
"""

import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

import click
from tqdm import tqdm

from caffe_compat.errors import CaffeError, DataError
from caffe_compat.net.net import Net
from caffe_compat.proto.whole_file import replacing
from data_prep.lists import read_list
from data_prep.voc import VOCFolder
from nets.catalogue import lookup
from solvers.device_option import device_option, use_device
from solvers.infer import deploy_net
from solvers.initial import check_covered
from solvers.prediction import predict
from solvers.score import save_label

__all__ = ["export_command", "export_results"]

_FOLDER = "results/{year}/Segmentation/comp6_test_cls"


def export_results(
    net: Net,
    voc: Path,
    out: Path,
    *,
    mean_bgr: Sequence[float],
    split: str = "test",
    progress: bool = True,
) -> Path:
    """Predict a list's images and write what the server wants.

    Args:
        net: a deploy net of VOC's classes; it is reshaped to each image.
        voc: a year's folder, named VOC2011 or VOC2012, with JPEGImages and ImageSets/Segmentation.
        out: gets the folder ``results`` and the tar.
        mean_bgr: taken off the channels, B, G, R.
        split: the list.
        progress: show a bar on stderr.

    Returns:
        The tar.

    Raises:
        DataError: the folder is not called by its year, the list or an image is missing.
        NetError: the net's scores are not of the image's size.
    """
    year = voc.resolve().name
    if not re.fullmatch(r"VOC20\d\d", year):
        raise DataError(f"'{voc}': the server wants the year; give the folder VOC2011 or VOC2012 itself")
    folder = VOCFolder(voc)
    ids = read_list(folder.list_path(split))
    inside = _FOLDER.format(year=year)
    for image_id in tqdm(ids, desc="export", unit="image", disable=not progress):
        save_label(predict(net, folder.read_image(image_id), mean_bgr), out / inside / f"{image_id}.png")
    tar = out / f"results_{year}.tar"
    with replacing(tar) as temporary, tarfile.open(temporary, "w") as archive:
        for image_id in ids:
            archive.add(out / inside / f"{image_id}.png", f"{inside}/{image_id}.png")
    return tar


@click.command("voc_export")
@click.argument("model")
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("voc", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("submission"), show_default=True, help="Folder.")
@click.option("--split", default="test", show_default=True, help="A list of VOC, or a list file.")
@device_option
def export_command(model: str, weights: Path, voc: Path, out: Path, split: str, device: str) -> None:
    """Write MODEL's results on VOC (the folder VOC2011 or VOC2012) with WEIGHTS, as the test server wants them."""
    try:
        use_device(device)
        net = deploy_net(model, weights)
        check_covered(net, weights)
        tar = export_results(net, voc, out, mean_bgr=lookup(model).mean_bgr, split=split)
    except (CaffeError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"upload {tar}")


if __name__ == "__main__":
    export_command()
