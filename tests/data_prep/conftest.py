"""A drawn VOC and SBD in miniature, fresh for each test that may damage them."""

import shutil

import pytest

from data_prep.shapes import draw_dataset


@pytest.fixture(scope="session")
def drawn_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "data"
    draw_dataset(folder, train=7, val=4, seed=3)
    return folder


@pytest.fixture
def drawn(drawn_once, tmp_path):
    """The drawn dataset, in a folder of the test's own."""
    shutil.copytree(drawn_once, tmp_path / "data")
    return draw_dataset(tmp_path / "data", train=7, val=4, seed=3)
