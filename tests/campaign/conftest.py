from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a process of tests makes the beginnings and the ends of the stories."""
    return tmp_path_factory.mktemp("stories")
