import collections
import pickle  # noqa: TID251 - makes a file that is refused
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import torch

from clusterkit.config import Context
from clusterkit.errors import InputError
from clusterkit.features.models import Model, find_models
from clusterkit.settings import Fixed
from tests.features.weights_of import state_of, weights_of

SMALL = "timm:test_resnet.r160_in1k"


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty caches `hub` and `torch` of the libraries, in a folder."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def find(*weights: Path, name: str = SMALL, offline: bool = True) -> Model:
    [model] = find_models(Fixed((name,)), weights, Context(data=Path("data"), offline=offline))
    return model


def in_the_hub(folder: Path, name: str = "test_resnet") -> Path:
    """Put weights where huggingface_hub keeps what it has downloaded."""
    repository = folder / "hub" / "models--timm--test_resnet.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    return weights_of(name, repository / "snapshots" / "abc" / "model.safetensors")


def test_weights_are_looked_for_in_the_data_root_then_in_the_cache(caches: Path) -> None:
    cached = in_the_hub(caches)
    assert find().file == cached
    inside = weights_of("test_resnet", Path("data/weights/test_resnet.safetensors"))
    assert find().file == inside
    exact = weights_of("test_resnet", Path("data/weights/test_resnet.r160_in1k.safetensors"))
    assert find().file == exact
    assert find(inside).file == inside
    assert [model.given for model in (find(), find(inside))] == [False, True]


def test_weights_of_torchvision_are_in_the_cache_of_torch(caches: Path) -> None:
    from torchvision import models

    file = caches / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    torch.save(models.resnet18().state_dict(), file)  # noqa: TID251 - as torchvision's own files are
    assert find(name="torchvision:resnet18").file == file


def test_missing_weights_offline() -> None:
    with pytest.raises(InputError) as raised:
        find()
    for words in (
        SMALL,
        "--offline is set",
        "data/weights/test_resnet.r160_in1k.safetensors",
        "model.safetensors of timm/test_resnet.r160_in1k in ",
        "--weights",
    ):
        assert words in str(raised.value)
    with pytest.raises(
        InputError, match=r"data/weights/resnet18-f37072fd.pth, nor .*checkpoints/resnet18-f37072fd.pth;"
    ):
        find(name="torchvision:resnet18")


def test_weights_are_downloaded_and_this_is_said(caches: Path, monkeypatch, caplog) -> None:
    caplog.set_level("INFO")
    size = collections.namedtuple("Metadata", "size")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: size(3_500_000))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *names: str(in_the_hub(caches)))
    find(offline=False)
    text = f"{SMALL}: downloading its weights, 3.5 MB, from https://huggingface.co/timm/test_resnet.r160_in1k"
    assert caplog.messages == [text]
    find(offline=False)
    assert caplog.messages == [text]


def test_failed_downloads(monkeypatch) -> None:
    def fail(*values: object) -> None:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", fail)
    with pytest.raises(InputError, match=r"download failed: no route to host\).*connect to a network"):
        find(offline=False)
    monkeypatch.setattr("clusterkit.features.weights.urlopen", lambda *values, timeout: fail())
    with pytest.raises(InputError, match=r"download failed: no route to host\).*connect to a network"):
        find(name="torchvision:resnet18", offline=False)


def test_weights_of_another_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"w.safetensors: no weights of timm:test_resnet.r160_in1k \(without .*with "):
        find(weights_of("test_convnext", tmp_path / "w.safetensors"))
    with pytest.raises(
        InputError, match=r"no weights of torchvision:shufflenet_v2_x0_5 \(without stage2.0.branch1.0.weight"
    ):
        find(weights_of("resnet10t", tmp_path / "r.safetensors"), name="torchvision:shufflenet_v2_x0_5")


def changed(tmp_path: Path, *without: str, **more: torch.Tensor) -> Path:
    state = {key: value for key, value in state_of("test_resnet").items() if key not in without}
    safetensors.torch.save_file(state | more, tmp_path / "changed.safetensors")
    return tmp_path / "changed.safetensors"


def test_keys_that_are_missing_or_foreign(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"changed.safetensors: no weights of .* \(without conv1.0.weight\)"):
        find(changed(tmp_path, "conv1.0.weight"))
    with pytest.raises(InputError, match=r"\(with mine\)"):
        find(changed(tmp_path, mine=torch.zeros(1)))
    with pytest.raises(InputError, match=r"no weights of .* \(conv1.0.weight is 2, not 16 x 3 x 3 x 3\); .*--backbone"):
        find(changed(tmp_path, **{"conv1.0.weight": torch.zeros(2)}))
    assert find(changed(tmp_path, "fc.weight", "fc.bias")).width == find(changed(tmp_path)).width


def test_a_lack_of_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise MemoryError("Cannot allocate memory (os error 12)")

    file = weights_of("test_resnet", tmp_path / "own.safetensors")
    for place in (
        (safetensors.torch, "load_file"),
        (torch.nn.Module, "load_state_dict"),
        (torch.nn.Module, "__call__"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*place, full)
            with pytest.raises(MemoryError):
                find(file)


def test_damaged_files(tmp_path: Path) -> None:
    file = weights_of("test_resnet", tmp_path / "w.safetensors")
    content = file.read_bytes()
    no_weights = "no file of weights, or a damaged one; download it again"
    for damage, words in ((content[:-1000], no_weights), (content[:3], no_weights), (b"", "empty")):
        file.write_bytes(damage)
        with pytest.raises(InputError, match=words):
            find(file)
    for other, words in ((tmp_path, "a folder"), (tmp_path / "no.pth", "no such file")):
        with pytest.raises(InputError, match=words):
            find(other)
    safetensors.torch.save_file({}, file)
    with pytest.raises(InputError, match="holds no weights"):
        find(file)


class Danger:
    """Code that a pickle would run."""

    def __reduce__(self):
        return (Path("ran").touch, ())


def test_pickles_are_read_without_their_code(tmp_path: Path, capfd, recwarn) -> None:
    file = tmp_path / "w.pth"
    state = {"state_dict": state_of("test_resnet"), "epoch": 3}
    torch.save(state, file)  # noqa: TID251 - a file of a training of timm
    assert find(file).width == 96
    torch.save({**state_of("test_resnet"), "danger": Danger()}, file)  # noqa: TID251
    whole = file.read_bytes()
    unsafe = "w.pth: holds more than tensors, which could run code when it is read; save its state dict as safetensors"
    for protocol in (None, 4):
        if protocol:
            file.write_bytes(pickle.dumps(Danger(), protocol))
        with pytest.raises(InputError, match=unsafe):
            find(file)
        assert not Path("ran").exists()
    for content in (b"no pickle", b"hello weights\n", b"class,label\nred,1\n", whole[:-1000]):
        file.write_bytes(content)
        with pytest.raises(InputError) as raised:
            find(file)
        advice = "download it again, or name another file (.safetensors, .pth or .bin)"
        assert str(raised.value) == f"{file}: no file of weights, or a damaged one; {advice}"
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
