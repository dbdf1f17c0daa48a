"""The released means: the data layers and the models' catalogue, which is in another package, have the same."""

import pytest

from data_prep import layers_nyud, layers_pascalcontext, layers_siftflow
from data_prep.means import RELEASED_MEANS
from nets.catalogue import MODELS

HOLDS = {"color": "image", "hha": "hha", "depth": "depth"}


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_the_catalogues_models_take_off_these(model):
    for image in model.images.values():
        assert RELEASED_MEANS[model.dataset][HOLDS[image.kind]] == image.mean


def test_so_do_the_data_layers():
    nyud = RELEASED_MEANS["nyud"]
    assert (layers_nyud.MEAN_BGR, layers_nyud.MEAN_HHA) == (nyud["image"], nyud["hha"])
    assert (layers_nyud.MEAN_LOG_DEPTH,) == nyud["depth"]
    assert layers_siftflow.SIFTFlowSegDataLayer.released_mean == RELEASED_MEANS["siftflow"]["image"]
    assert layers_pascalcontext.PASCALContextSegDataLayer.released_mean == RELEASED_MEANS["pascalcontext"]["image"]
