import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# The tensors are small; on a busy machine a second thread waits more than it works.
torch.set_num_threads(1)
settings.register_profile("clusterkit", deadline=None, database=None, derandomize=True, max_examples=30)
settings.load_profile("clusterkit")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The root of the real data sets."""
    root = os.environ.get("CLUSTERKIT_DATA")
    if not root:
        pytest.skip("CLUSTERKIT_DATA names no folder of real data sets")
    return Path(root)
