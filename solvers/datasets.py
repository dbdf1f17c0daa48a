"""From a data folder to the splits that a recipe trains and is scored on.

The folder is as the FCN release has it, with what the archives unpack to found as well:

    pascal/VOC2011, sbdd/dataset           voc
    nyud                                   nyud, as ``python -m data_prep nyud`` writes it
    sift-flow                              siftflow
    pascal-context, pascal/VOC2010         pascalcontext

``--read lmdb`` takes the LMDBs that data_prep wrote into the folder or into its ``lmdb``; where there are none, they
are built of the files.
"""

from pathlib import Path

from caffe_compat.errors import DataError
from nets.catalogue import Model
from solvers.datasets_nyud import NYUDFamily
from solvers.datasets_pascalcontext import PASCALContextFamily
from solvers.datasets_siftflow import SIFTFlowFamily
from solvers.datasets_voc import VOCFamily
from solvers.splits import Family, FolderSplit, LmdbSplit, Split, Splits

__all__ = ["FAMILIES", "find_splits", "find_test_split"]

FAMILIES: dict[str, Family] = {
    "voc": VOCFamily(),
    "nyud": NYUDFamily(),
    "siftflow": SIFTFlowFamily(),
    "pascalcontext": PASCALContextFamily(),
}
"""By dataset, as in nets.catalogue."""


def find_splits(data: Path, model: Model, read: str = "files") -> Splits:
    """What a model trains and is scored on.

    Args:
        data: the data folder.
        model: whose data it is.
        read: ``files`` or ``lmdb``.

    Raises:
        DataError: the dataset, a part of it or a list is not there; the message says what was looked for and what
            makes it.
    """
    pair = _databases(data, model, read, train=True)
    if pair:
        return Splits(*pair)
    train, test = (_of_files(data, model, read, train) for train in (True, False))
    return Splits(train, test)


def find_test_split(data: Path, model: Model, read: str = "files") -> Split:
    """What a model is scored on; nothing to train on need be there.

    Raises:
        DataError: as ``find_splits``.
    """
    found = _databases(data, model, read, train=False)
    return found[0] if found else _of_files(data, model, read, train=False)


def _made(family: Family, data: Path, model: Model) -> dict[str, Path]:
    """The finished folders of LMDBs, by name."""
    names = dict.fromkeys(name for pair in family.database_pairs(model) for name in pair)
    places = family.database_places(data)
    found = {}
    for name in names:
        there = next((place / name for place in places if (place / name / "manifest.json").is_file()), None)
        if there is not None:
            found[name] = there
    return found


def _databases(data: Path, model: Model, read: str, train: bool) -> list[Split]:
    """Splits over finished LMDBs: training and test, or test alone; none where there are not all of them."""
    if read != "lmdb":
        return []
    family = FAMILIES[model.dataset]
    made = _made(family, data, model)
    for pair in family.database_pairs(model):
        wanted = pair if train else pair[1:]
        if all(name in made for name in wanted):
            return [LmdbSplit.opened(family, made[name]) for name in wanted]
    return []


def _of_files(data: Path, model: Model, read: str, train: bool) -> FolderSplit:
    family = FAMILIES[model.dataset]
    try:
        folder, name, ids = family.find(data, model, train)
    except DataError as error:
        made = _made(family, data, model)
        there = f"; there are the LMDBs {', '.join(map(str, made.values()))}" if made else ""
        if made and read != "lmdb":
            raise DataError(f"{error}{there}: --read lmdb reads them") from None
        makes = "makes LMDBs of what was downloaded, for --read lmdb" if family.out == "lmdb" else "makes these files"
        command = f"python -m data_prep {family.verb.format(data=data)} --out {data / family.out}"
        raise DataError(f"{error}{there}; '{command}' {makes}") from None
    return FolderSplit(family, name, ids, folder, read)
