"""The tasks that prepare_data.py times, over generated images at the datasets' sizes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from data_prep.file_writer import write_files
from data_prep.hha import CAMERAS
from data_prep.hha.folder import HHAWriter
from data_prep.images import encode_jpeg
from data_prep.labels import VOID, encode_label, voc_palette
from data_prep.lists import write_list
from data_prep.lmdb_writer import write_lmdbs
from data_prep.nyud import NYUDFolder
from data_prep.nyud_command import nyud_files
from data_prep.nyud_export import NYUDExport
from data_prep.nyud_mat import ClassMapping, LabeledMat
from data_prep.nyud_records import NYUDLoader
from data_prep.png_files import write_png
from data_prep.records import PairLoader
from data_prep.voc import VOCFolder

VARIANTS = 8  # different images; a longer list repeats them


def room(random: np.random.RandomState, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth in metres of a floor and a wall with noise and boxes, and the same with holes of 0."""
    rows, columns = np.mgrid[1 : height + 1, 1 : width + 1]
    floor = 1.3 / np.maximum((rows - 0.5 * height) / 519.5, 1e-9)
    depth = np.minimum(floor, 3 + 0.5 * (columns - width / 2) / 518.9)
    for _ in range(6):
        row, column = random.randint(0, height - 60), random.randint(0, width - 60)
        depth[row : row + 60, column : column + 60] -= random.uniform(0.1, 0.6)
    depth = np.maximum(depth, 0.5) * random.uniform(0.997, 1.003, depth.shape)
    raw = depth.copy()
    raw[:, : width // 20] = 0
    raw[random.uniform(size=raw.shape) < 0.01] = 0
    return depth, raw


def picture(random: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """Smooth colours with some noise: height x width x 3 uint8."""
    coarse = random.randint(0, 256, (height // 40 + 2, width // 40 + 2, 3)).astype(np.uint8)
    smooth = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + random.randint(-8, 9, smooth.shape), 0, 255).astype(np.uint8)


def hha_task(folder: Path, images: int) -> Callable[[Path, int], None]:
    """16-bit PNGs of depth to HHA PNGs."""
    random = np.random.RandomState(0)
    (folder / "depth").mkdir()
    (folder / "raw").mkdir()
    contents = []
    for index in range(VARIANTS):
        for kind, values in zip(("depth", "raw"), room(random, 425, 560), strict=True):
            write_png(folder / kind / f"{index}.png", np.rint(values * 1000).astype(np.uint16))
        contents.append([(folder / kind / f"{index}.png").read_bytes() for kind in ("depth", "raw")])
    names = [f"{index}.png" for index in range(images)]
    for index, name in enumerate(names):
        for kind, content in zip(("depth", "raw"), contents[index % VARIANTS], strict=True):
            (folder / kind / name).write_bytes(content)

    def run(out: Path, jobs: int) -> None:
        writer = HHAWriter(folder / "depth", folder / "raw", out, CAMERAS["color-cropped"])
        write_files(writer.files(), names, jobs=jobs, strict=True)

    return run


def voc_task(folder: Path, images: int) -> Callable[[Path, int], None]:
    """JPEGs and palette PNGs, read and checked, to two LMDBs."""
    random = np.random.RandomState(0)
    voc = VOCFolder(folder)
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    pairs = []
    for _ in range(VARIANTS):
        label = np.kron(random.randint(0, 21, (5, 5)), np.ones((75, 100))).astype(np.uint8)
        pairs.append((encode_jpeg(picture(random, 375, 500)), encode_label(label, voc_palette())))
    ids = [f"2007_{index:06d}" for index in range(images)]
    for index, one in enumerate(ids):
        voc.image_path(one).write_bytes(pairs[index % VARIANTS][0])
        voc.label_path(one).write_bytes(pairs[index % VARIANTS][1])
    write_list(voc.list_path("train"), ids)
    return partial(_write, ids, PairLoader(voc))


def nyud_task(folder: Path, images: int) -> Callable[[Path, int], None]:
    """nyu_depth_v2_labeled.mat to images, depth, HHA, labels and four LMDBs."""
    random = np.random.RandomState(0)
    path = folder / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as file:
        for name, size, kind in (
            ("images", (3, 640, 480), np.uint8),
            ("depths", (640, 480), np.float32),
            ("rawDepths", (640, 480), np.float32),
            ("labels", (640, 480), np.uint16),
        ):
            file.create_dataset(name, (images, *size), kind, chunks=(1, *size), compression="gzip")
        for index in range(images):
            depth, raw = room(random, 480, 640)
            file["images"][index] = picture(random, 480, 640).transpose(2, 1, 0)
            file["depths"][index], file["rawDepths"][index] = depth.T, raw.T
            file["labels"][index] = np.kron(random.randint(0, 895, (16, 12)), np.ones((40, 40)))
    mapping = ClassMapping(np.append(0, random.randint(1, 41, 894)).astype(np.uint8))

    def run(out: Path, jobs: int) -> None:
        files = NYUDFolder(out, void=VOID)
        for one in files.folders():
            one.mkdir(parents=True)
        mat = LabeledMat(path)
        export = NYUDExport(mat, mapping, files, CAMERAS["color-cropped"])
        write_files(nyud_files(export), mat.ids(), jobs=jobs, strict=True)
        _write(mat.ids(), NYUDLoader(files), out / "lmdb", jobs)

    return run


def _write(ids: list[str], loader: PairLoader | NYUDLoader, out: Path, jobs: int) -> None:
    outcome = write_lmdbs(out, ids, loader, jobs=jobs)
    if outcome.faults:
        raise SystemExit(outcome.faults[0].message)


TASKS = {"hha": hha_task, "voc": voc_task, "nyud": nyud_task}
