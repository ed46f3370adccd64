from pathlib import Path

import pytest


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the checkout."""
    folder = Path(__file__).parents[3] / "shared"
    if not folder.is_dir():
        pytest.skip(f"real data are not at hand: there is no folder {folder}")
    return folder
