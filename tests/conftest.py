"""Where the tests find recordings of the original Caffe and the third-party data beside the checkout."""

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def reference() -> Path:
    """tests/reference: recordings of the original Caffe, committed."""
    return HERE / "reference"


@pytest.fixture(scope="session")
def realdata() -> Path:
    """../shared/realdata beside the checkout: third-party files, never committed; absent means skip."""
    folder = HERE.parent.parent / "shared" / "realdata"
    if not folder.is_dir():
        pytest.skip("../shared/realdata is not beside the checkout")
    return folder
