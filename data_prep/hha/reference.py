"""Another program's HHA images, found by the names of depth files and compared with ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from caffe_compat.errors import DataError
from data_prep.hha.agreement import Agreement, compare_hha
from data_prep.images import decode_image
from data_prep.png_files import read_file

__all__ = ["agreement_lines", "find_references"]


def find_references(where: Path, names: Sequence[str]) -> dict[str, Path]:
    """The reference images by the depth files' names.

    Args:
        where: a folder with STEM.png for some or all depth files, or an image where there is one depth file.
        names: of the depth files.

    Raises:
        DataError: one image for several depth files, or none at all.
    """
    if where.is_file():
        if len(names) > 1:
            raise DataError(
                f"'{where}' is one image, but there are {len(names)} depth files; give --compare a folder of "
                "images by the same names"
            )
        return {names[0]: where}
    found = {name: path for name in names if (path := where / f"{Path(name).stem}.png").is_file()}
    if not found:
        raise DataError(
            f"--compare '{where}' holds no image for any of the {len(names)} depth files, such as "
            f"'{Path(names[0]).stem}.png'; give the folder of another program's HHA images, or one image"
        )
    return found


def agreement_lines(out: Path, references: Mapping[str, Path]) -> list[str]:
    """A report: how far the images in ``out`` are from their references, all together; nothing if there are none.

    Args:
        out: folder of our images, STEM.png.
        references: by the depth files' names, those whose image was made.

    Raises:
        DataError: an image is missing, damaged or of another size.
    """
    agreements = [_agreement(out / f"{Path(name).stem}.png", path) for name, path in references.items()]
    if not agreements:
        return []
    images = f"{len(agreements)} HHA image{'s' * (len(agreements) > 1)}"
    heading = f"pixels of {images} by how many of 256 levels they differ from the other program's:"
    return [heading, *sum(agreements[1:], agreements[0]).lines()]


def _agreement(path: Path, reference: Path) -> Agreement:
    ours, theirs = (decode_image(read_file(one, "HHA"), str(one)) for one in (path, reference))
    return compare_hha(ours, theirs, str(reference))
