"""NYUDv2 for the nets: color, depth, HHA and labels, as ``python -m data_prep nyud`` writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from data_prep.contents import check_sizes
from data_prep.layers_nyud import NYUDLMDBSegDataLayer, NYUDSegDataLayer
from data_prep.lmdb_build import Loader
from data_prep.nyud import NYUDFolder, find_nyud
from data_prep.nyud_records import NYUDLoader, NYUDRecords
from data_prep.seg_folder import SegFolder
from nets.catalogue import Model
from nets.sources import PythonData
from solvers.splits import Family, Labels, data_layer

__all__ = ["NYUDFamily"]

_RECORDS = {"color": "image", "depth": "depth", "hha": "hha"}
_READERS = {"color": "read_image", "depth": "read_depth_mm", "hha": "read_hha"}


class NYUDFamily(Family):
    """Only what the model's tops show is read of the files; LMDBs hold all kinds."""

    title: ClassVar[str] = "NYUDv2"
    verb: ClassVar[str] = "nyud --source {data}/nyud_v2"
    downloads: ClassVar[tuple[str, ...]] = ("nyud",)
    out: ClassVar[str] = "nyud"

    def find(self, data: Path, model: Model, train: bool) -> tuple[SegFolder, str, list[str]]:
        """The lists trainval and test.

        Raises:
            DataError: there is no folder in FCN's layout, or a list is missing.
        """
        folder, name = find_nyud(data), model.train_split if train else model.test_split
        return folder, name, folder.ids(name)

    def loader(self, folder: Any) -> Loader:
        """All four kinds of records."""
        return NYUDLoader(folder)

    def database_places(self, data: Path) -> list[Path]:
        """Those of all, and the folder of the files."""
        return [*super().database_places(data), data / "nyud"]

    def file_layer(self, folder: SegFolder, listed: Path, model: Model, seed: int) -> PythonData:
        """The released layer, with the model's tops."""
        params = {"split": str(listed), "tops": _tops(model), "seed": seed}
        return data_layer(NYUDSegDataLayer, {"nyud_dir": str(folder.root.resolve()), **params})

    def lmdb_layer(self, databases: Path, name: str, model: Model, seed: int) -> PythonData:
        """Likewise."""
        params = {"split": name, "tops": _tops(model), "seed": seed}
        return data_layer(NYUDLMDBSegDataLayer, {"lmdb_dir": str(databases), **params})

    def check_files(self, folder: NYUDFolder, image_id: str, model: Model) -> Labels:
        """The label; the pictures of the model's tops are read too."""
        return _check(folder, image_id, model, str(folder.root))

    def check_records(self, databases: Path, model: Model) -> Callable[[str], Labels]:
        """Likewise."""
        records = NYUDRecords(databases, ["label", *(_RECORDS[kind] for kind in _kinds(model))])
        return lambda image_id: _check(records, image_id, model, str(databases))


def _kinds(model: Model) -> list[str]:
    return [image.kind for image in model.images.values()]


def _tops(model: Model) -> list[str]:
    return [*_kinds(model), "label"]


def _check(source: NYUDFolder | NYUDRecords, image_id: str, model: Model, where: str) -> Labels:
    label = source.read_label(image_id)
    pictures = {kind: getattr(source, _READERS[kind])(image_id) for kind in _kinds(model)}
    shapes = {kind: pixels.shape for kind, pixels in [*pictures.items(), ("label", label)]}
    check_sizes({f"'{where}', {kind} of {image_id}": shape for kind, shape in shapes.items()})
    return (label,)
