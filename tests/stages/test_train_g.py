"""train-g, through the command line."""

import json

import numpy as np
import pytest


@pytest.mark.parametrize("scale", [1e-20, 1, 1e4, 1e12])
def test_a_feature_of_another_scale_hides_no_other(scale, cli):
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    noise = scale * rng.standard_normal((90, 1))
    x = np.hstack([6 * np.eye(3)[labels] + rng.standard_normal((90, 3)), noise])
    np.savez("a.npz", x=x.astype(np.float32), y=labels)
    assert cli("train-g arrays:a.npz --backbone mlp --hidden 32 --epochs 40 --learning-rate 0.01").code == 0
    done = cli("evaluate arrays:a.npz --g g.safetensors --ways 2 --episodes 1 --json")
    assert json.loads(done.out)["mean"]["similar_f1"] > 0.98
