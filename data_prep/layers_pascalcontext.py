"""The released Python data layer of PASCAL-Context; from LMDBs, LMDBSegDataLayer with 60 classes gives the same.

    python_param { module: "pascalcontext_layers" layer: "PASCALContextSegDataLayer"
                   param_str: "{'voc_dir': '../data/pascal', 'context_dir': '../data/pascal-context',
                                'split': 'train', 'seed': 1337}" }

What differs from the release is what layers.py says; besides, the lists of classes may bear the names under which the
release ships them.

Source: shelhamer/fcn.berkeleyvision.org pascalcontext_layers.py.
"""

from pathlib import Path
from typing import Any, ClassVar

from data_prep.layers import FolderSegDataLayer
from data_prep.means import PASCALCONTEXT_MEAN_BGR as MEAN_BGR
from data_prep.pascalcontext import PASCALContextFolder, read_mapping

__all__ = ["MEAN_BGR", "PASCALContextSegDataLayer"]


class PASCALContextSegDataLayer(FolderSegDataLayer):
    """One image and its label of the 59 class task per forward; order and drawing as SegDataLayer.

    Tops:     data: 1 x 3 x H x W, float (BGR minus mean); label: 1 x 1 x H x W, float (0 = background, 1 to 59 the
              classes).
    Params:   param_str, a Python dictionary. voc_dir: the folder that holds VOC2010. context_dir: the labels' folder
              (see pascalcontext.py). split: list in VOC2010/ImageSets/Main, or a list file's path. randomize: default
              True. seed: of the draws.
    Raises:   DataError: param_str, a folder, the list or a file is wrong; LayerError: bottoms or tops are.
    """

    required: ClassVar[dict[str, str]] = {"voc_dir": "text", "context_dir": "text", "split": "text"}
    optional: ClassVar[dict[str, str]] = {"randomize": "flag", "seed": "integer"}
    released_mean = MEAN_BGR

    def open(self, params: dict[str, Any]) -> list[str]:
        """The list's ids."""
        context = Path(params["context_dir"])
        self.folder = PASCALContextFolder(
            context, voc=Path(params["voc_dir"]) / "VOC2010", mapping=read_mapping(context)
        )
        return self.folder.ids(params["split"])
