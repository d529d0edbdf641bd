from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.features.weights_of import weights_of

COMMAND = "train-g folder:pics --data data --offline --backbone "


@pytest.fixture(autouse=True)
def pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for number in range(6):
        place = Path("pics") / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(place / f"{number}.png")
    weights_of("test_resnet", Path("w.safetensors"))
    Path("empty.pth").touch()


@pytest.mark.parametrize("command", ["embed folder:pics", "discover folder:pics", "train-g folder:pics"])
def test_a_size_for_which_a_picture_takes_all_memory(command: str, cli) -> None:
    done = cli(f"{command} --backbone timm:test_resnet --weights w.safetensors --size 100000")
    assert (done.code, done.out) == (2, "")
    assert "--size" in done.err
    assert "2048" in done.err


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        ("timm:test_resnot", 2, "--backbone timm:test_resnot: timm has no such model for images; did you mean test_"),
        ("keras:vgg16", 2, "--backbone keras:vgg16"),
        ("timm:test_resnet+timm:test_vit --weights w.safetensors", 2, "--weights: files given: 1, backbones: 2"),
        ("timm:test_vit --weights w.safetensors", 3, "w.safetensors: no weights of timm:test_vit"),
        ("timm:test_resnet --weights empty.pth", 3, "empty.pth: empty"),
        ("timm:test_resnet --weights pics", 3, "pics: a folder"),
        ("timm:test_resnet --weights no.pth", 3, "no.pth: no such file"),
        ("timm:test_resnet", 3, "timm:test_resnet: no weights on this machine (--offline is set)"),
        ("torchvision:resnet18", 3, "resnet18-f37072fd.pth"),
    ],
)
def test_models_and_weights_that_cannot_be_used(flags: str, code: int, words: str, cli) -> None:
    done = cli(COMMAND + flags)
    assert (done.code, done.out) == (code, "")
    assert len(done.err.splitlines()) == 1
    assert words in done.err
    assert not Path("clusterkit-out").exists()
