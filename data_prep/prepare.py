"""From a dataset's folder and its lists to checked pairs and LMDBs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from caffe_compat.errors import DataError
from data_prep.file_writer import FileSet, write_files
from data_prep.jobs import collect_faults
from data_prep.lists import PUBLISHED_SIZES, check_seg11valid, read_list, val_without, write_list
from data_prep.lmdb_build import Loader, disk_errors, write_text
from data_prep.lmdb_writer import write_lmdbs
from data_prep.outcome import Outcome
from data_prep.records import PairLoader
from data_prep.sbd import SBDFolder
from data_prep.seg_folder import SegFolder
from data_prep.verify import Begin, verified
from data_prep.voc import VOCFolder

__all__ = ["Run", "SplitReport", "check_pairs", "list_of", "prepare", "seg11valid"]


@dataclass(frozen=True)
class SplitReport:
    """What became of one list.

    Attributes:
        split: its name.
        published: number of images in the whole dataset's list; None where unknown.
        outcome: what became of the databases or files, or of the check alone.
    """

    split: str
    published: int | None
    outcome: Outcome


def seg11valid(voc: VOCFolder, sbd: SBDFolder) -> list[str]:
    """The ids of VOC's val that are not in SBD's train; of whole VOC2011 and SBD, the 736 of the paper.

    Raises:
        DataError: a list is missing; the lists have their published sizes but give other images; or the VOC is 2012,
            whose val holds 168 more images that are not in SBD's train and that nothing in its lists tells apart.
    """
    val, train = voc.ids("val"), sbd.ids("train")
    ids = val_without(val, train)
    if not ids:
        raise DataError(
            f"every image of '{voc.list_path('val')}' is in '{sbd.list_path('train')}', so nothing is left for "
            "seg11valid; check that both are the datasets' own lists"
        )
    if len(train) == PUBLISHED_SIZES["sbd", "train"]:
        if len(val) == PUBLISHED_SIZES["voc2012", "val"]:
            raise DataError(
                f"seg11valid is made from VOC2011's val; '{voc.root}' is VOC2012, whose val without SBD's train has "
                f"{len(ids)} images; give VOC2011, or save the released list (shelhamer/fcn.berkeleyvision.org, "
                f"data/pascal/seg11valid.txt) as '{voc.list_path('seg11valid')}', or name it with data_prep's "
                "--list-file"
            )
        if len(val) == PUBLISHED_SIZES["voc2011", "val"]:
            check_seg11valid(ids, f"val of '{voc.root}' without train of '{sbd.root}'")
    return ids


def list_of(path: Path) -> tuple[str, list[str]]:
    """A list file's split name and ids; one called seg11valid with as many images must be the paper's.

    Raises:
        DataError: the file is no list, or is called seg11valid, has 736 ids, and they are others.
    """
    ids = read_list(path)
    if path.stem == "seg11valid" and len(ids) == PUBLISHED_SIZES["voc2011", "seg11valid"]:
        check_seg11valid(ids, f"list '{path}'")
    return path.stem, ids


def prepare(
    folder: SegFolder,
    lists: dict[str, list[str]],
    out: Path,
    *,
    build: bool = True,
    images: str = "jpeg",
    labels: str = "raw",
    jobs: int = 1,
    strict: bool = False,
    verify: bool = False,
    make_loader: Callable[[SegFolder, str, str], PairLoader] = PairLoader,
    progress: Begin = lambda title, total: lambda done: None,
) -> list[SplitReport]:
    """Check a dataset's lists and build their LMDBs.

    Args:
        folder: the dataset.
        lists: ids by split name.
        out: gets ``lists/DATASET_SPLIT.txt`` and, for each split, the folder ``DATASET_SPLIT`` (see lmdb_writer).
        build: make LMDBs; without, every pair is read and checked only, and the faults go into
            ``DATASET_SPLIT.faults.txt``.
        images: form of image records, see PairLoader.
        labels: form of label records.
        jobs: processes.
        strict: stop at the first faulty sample.
        verify: read again all that is in the LMDBs, whether they were built now or before.
        make_loader: of the folder and both forms, makes what makes the records.
        progress: called for each split with a title and the number of samples; what it gives is told what is done.

    Returns:
        A report for each split.

    Raises:
        DataError: as ``write_lmdbs``; with ``strict`` a fault.
    """
    try:
        (out / "lists").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"'{out}' cannot be made ({error.strerror}); give another --out") from error
    with disk_errors(out / "lists"):
        for split, ids in lists.items():
            write_list(out / "lists" / f"{folder.name}_{split}.txt", ids)
    return Run(out, jobs, strict, verify, progress).lists(make_loader(folder, images, labels), lists, build)


class Checked(Loader, Protocol):
    """Records that can be checked without making them."""

    @property
    def folder(self) -> SegFolder:
        """Where the samples come from."""

    def check(self, image_id: str) -> None:
        """Read a sample's files; raises DataError."""


@dataclass(frozen=True)
class Run:
    """How the samples of lists are worked through.

    Args:
        out: folder that gets ``DATASET_SPLIT`` for each list.
        jobs: processes.
        strict: stop at the first faulty sample.
        verify: read again all that was written, now or before.
        begin: called with a title and the number of samples; what it gives is told what is done.
    """

    out: Path
    jobs: int = 1
    strict: bool = False
    verify: bool = False
    begin: Begin = lambda title, total: lambda done: None

    def files(self, files: FileSet, lists: Mapping[str, Sequence[str]]) -> SplitReport:
        """Make the files of every sample in the lists, each once.

        Raises:
            DataError: as ``write_files``.
        """
        ids = list(dict.fromkeys(one for listed in lists.values() for one in listed))
        outcome = write_files(files, ids, jobs=self.jobs, strict=self.strict, progress=self.begin("files", len(ids)))
        return SplitReport("files", None, self._verified(outcome))

    def lists(self, loader: Checked, lists: Mapping[str, Sequence[str]], build: bool = True) -> list[SplitReport]:
        """Build the databases of each list, or read and check its samples only.

        Raises:
            DataError: as ``write_lmdbs`` and ``check_pairs``.
        """
        reports = []
        for split, ids in lists.items():
            name = f"{loader.folder.name}_{split}"
            tell, where = self.begin(name, len(ids)), self.out / name
            if build:
                outcome = self._verified(
                    write_lmdbs(
                        where,
                        ids,
                        loader,
                        jobs=self.jobs,
                        strict=self.strict,
                        count_records=not self.verify,
                        progress=tell,
                    )
                )
            else:
                report = where.with_name(f"{name}.faults.txt")
                outcome = check_pairs(loader, ids, self.jobs, self.strict, tell, report)
            reports.append(SplitReport(split, PUBLISHED_SIZES.get((loader.folder.name, split)), outcome))
        return reports

    def _verified(self, outcome: Outcome) -> Outcome:
        return verified(outcome, self.jobs, self.begin) if self.verify else outcome


def check_pairs(
    loader: Checked,
    ids: Sequence[str],
    jobs: int,
    strict: bool,
    progress: Callable[[int], None],
    report: Path | None = None,
) -> Outcome:
    """Read and check every sample of a list, and write nothing but the faults, if any, into ``report``.

    Raises:
        DataError: with ``strict``, the first fault; the report cannot be written.
    """
    faults = collect_faults(_Check(loader), ids, jobs, strict, progress)
    if report is not None:
        if faults:
            write_text(report, "".join(f"{fault.message}\n" for fault in faults))
        else:
            report.unlink(missing_ok=True)
    outcome = Outcome(loader.folder.root, "checked", len(ids) - len(faults), faults=faults)
    outcome.report = report if faults else None
    return outcome


@dataclass(frozen=True)
class _Check:
    """Reads a pair and lets it go: only the fault, if any, comes back from a worker."""

    loader: Checked

    def __call__(self, image_id: str) -> None:
        self.loader.check(image_id)
