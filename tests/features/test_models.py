import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.own_data import found, stored
from clusterkit.config import Context
from clusterkit.errors import InputError, UsageError
from clusterkit.features.card import quiet
from clusterkit.features.models import NON_COMMERCIAL, Model, find_models, recorded_models
from clusterkit.settings import Fixed
from tests.features.weights_of import photo, state_of, weights_of

SMALL = "timm:test_resnet.r160_in1k"


def find(name: str, *weights: Path, size: int | None = None, data: Path = Path("data")) -> Model:
    [model] = find_models(Fixed((name,)), weights, Context(data=data, offline=True), size)
    return model


def of_timm(name: str, state: dict[str, Tensor], picture: Image.Image, **settings: int) -> Tensor:
    """Pooled features (1, D) of a picture, as timm computes them with its own transform."""
    import timm

    with quiet():
        network = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(state)}, **settings
        ).eval()
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config | ({"input_size": settings["img_size"]} if settings else {}))
    with torch.inference_mode():
        hidden = network.forward_features(transform(picture)[None])
        return network.forward_head(hidden, pre_logits=True)


@pytest.mark.parametrize(
    "name", ["test_resnet.r160_in1k", "test_efficientnet", "test_vit", "test_vit3", "test_convnext"]
)
def test_features_are_those_of_timm(name: str, tmp_path: Path) -> None:
    model = find(f"timm:{name}", weights_of(name, tmp_path / "w.safetensors"))
    features = model.build()(model.prepare(photo())[None])
    expected = of_timm(name, state_of(name), photo())
    assert features.shape == expected.shape == (1, model.width)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    assert features.std() > 0


def test_features_of_real_weights_are_those_of_timm(real_data: Path) -> None:
    model = find("timm:tf_efficientnet_lite0", data=real_data)
    assert (model.width, model.size, model.licence, model.given) == (1280, 224, "apache-2.0", False)
    file = next((real_data / "office31").rglob("*.jpg"))
    picture = Image.open(file).convert("RGB")
    features = model.build()(model.prepare(picture)[None])
    state = safetensors.torch.load_file(model.file)
    torch.testing.assert_close(features, of_timm("tf_efficientnet_lite0", state, picture), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mobilenet_v3_small", "mnasnet0_5"])
def test_features_of_torchvision_are_what_its_classifier_reads(name: str, tmp_path: Path) -> None:
    from torchvision import models

    whole = models.get_model(name).eval()
    file = tmp_path / "w.pth"
    torch.save(whole.state_dict(), file)  # noqa: TID251 - as torchvision's own files are
    model = find(f"torchvision:{name}", file)
    inputs: list[Tensor] = []
    last = [layer for layer in whole.modules() if isinstance(layer, nn.Linear)][-1]
    last.register_forward_hook(lambda layer, values, output: inputs.append(values[0]))
    transform = models.get_model_weights(name).DEFAULT.transforms()
    with torch.inference_mode():
        whole(transform(photo())[None])
        features = model.build()(model.prepare(photo())[None])
    assert features.shape == (1, model.width) == (1, last.in_features)
    torch.testing.assert_close(features, inputs[0], rtol=1e-4, atol=1e-4)
    assert model.licence == "not stated"


def test_pictures_are_prepared_as_the_model_wants_and_batches_travel_as_bytes(tmp_path: Path) -> None:
    model = find(SMALL, weights_of("test_resnet", tmp_path / "w.safetensors"))
    assert (model.size, model.crop, model.interpolation) == (160, 0.95, "bilinear")
    assert (model.mean, model.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    pixels = model.prepare(photo(500, 40))
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (3, 160, 160))
    white = torch.full((2, 3, 160, 160), 255, dtype=torch.uint8)
    model = replace(model, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    seen: list[Tensor] = []
    network = model.build()
    network.network.register_forward_pre_hook(lambda layer, values: seen.append(values[0]))
    network(white)
    expected = (1 - torch.tensor(model.mean)) / torch.tensor(model.std)
    torch.testing.assert_close(seen[0][0, :, 5, 5], expected, rtol=1e-5, atol=1e-5)
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


def test_a_size_of_the_user_is_the_size_of_the_network(tmp_path: Path) -> None:
    file = weights_of("test_vit", tmp_path / "w.safetensors")
    model = find("timm:test_vit", file, size=96)
    assert model.size == 96
    expected = of_timm("test_vit", state_of("test_vit"), photo(), img_size=96)
    torch.testing.assert_close(model.build()(model.prepare(photo())[None]), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="--size 8: timm:test_vit does not take pictures of 8x8"):
        find("timm:test_vit", file, size=8)
    for size, words in (
        (100, "--size 100: timm:test_vit reads squares of 16 x 16 .* give 96"),
        (2049, "--size 2049: .* up to 2048"),
    ):
        with pytest.raises(UsageError, match=words):
            find("timm:test_vit", file, size=size)


def test_a_model_whose_own_size_leaves_out_pixels_keeps_it(monkeypatch, tmp_path: Path) -> None:
    file = weights_of("test_vit", tmp_path / "w.safetensors")
    monkeypatch.setattr("clusterkit.features.timm_models.patch_side", lambda network: 14)
    assert find("timm:test_vit", file, size=160).size == 160
    with pytest.raises(UsageError, match="give 98,"):
        find("timm:test_vit", file, size=96)


def test_dinov2_reads_pictures_of_224_pixels() -> None:
    from clusterkit.features import timm_models

    for name in ("vit_small_patch14_dinov2.lvd142m", "vit_small_patch14_reg4_dinov2"):
        card = timm_models.card(name, None)
        assert (card.size, card.fixed_size, card.licence) == (224, True, "apache-2.0")
    network = timm_models.plain(timm_models.card("vit_small_patch14_dinov2", None), depth=1)
    assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 384)
    assert timm_models.card("vit_small_patch14_dinov2", 518).size == 518


def test_nothing_is_drawn_from_the_random_numbers_of_the_program(tmp_path: Path) -> None:
    file = weights_of("test_resnet", tmp_path / "w.safetensors")
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    find(SMALL, file).build()
    assert torch.equal(torch.rand(3), expected)


def test_libraries_print_nothing(tmp_path: Path, capfd) -> None:
    find(SMALL, weights_of("test_resnet", tmp_path / "w.safetensors"))
    assert capfd.readouterr() == ("", "")


def test_headers_name_the_users_file_from_their_folder(tmp_path: Path) -> None:
    file = weights_of("test_resnet", tmp_path / "mine" / "w.safetensors")
    context = Context(data=Path("data"), offline=True)
    model = find(SMALL, Path("mine/w.safetensors"))
    header = {"features": [model.to_header()]}
    assert json.loads(json.dumps(header)) == header
    assert header["features"][0]["sha256"] == sha256(file)
    in_file = stored(header, Path("out"))
    assert in_file["features"][0]["weights"] == "weights:../mine/w.safetensors"
    assert recorded_models(found(in_file, tmp_path / "out")["features"], context) == (model,)


def test_recorded_models_are_found_by_path_then_by_name(tmp_path: Path) -> None:
    context = Context(data=Path("data"), offline=True)
    file = weights_of("test_resnet", Path("w.safetensors"))
    entry = find(SMALL, file).to_header()
    moved = Path("data/weights/test_resnet.r160_in1k.safetensors")
    moved.parent.mkdir(parents=True)
    file.rename(moved)
    [model] = recorded_models([entry], context)
    assert (model.file, model.given) == (moved, False)
    assert "weights" not in model.to_header()
    # Another file at the path does not hide the right one.
    weights_of("test_vit", file)
    assert recorded_models([entry], context) == (model,)
    moved.unlink()
    with pytest.raises(
        InputError, match=rf"w.safetensors: not the weights.*{sha256(file)[:12]}, not {entry['sha256'][:12]}"
    ):
        recorded_models([entry], context)
    file.unlink()
    with pytest.raises(InputError, match=r"w.safetensors is gone.*data/weights/test_resnet.r160_in1k.safetensors"):
        recorded_models([entry], context)
    del entry["weights"]
    with pytest.raises(InputError, match="--offline is set"):
        recorded_models([entry], context)
    with pytest.raises(InputError, match=r"timm:gone: .*the timm that is installed does not have it"):
        recorded_models([{**entry, "name": "timm:gone"}], context)


def test_one_file_for_each_backbone_in_order(tmp_path: Path) -> None:
    resnet, vit = (weights_of(name, tmp_path / f"{name}.safetensors") for name in ("test_resnet", "test_vit"))
    fixed, context = Fixed((SMALL, "timm:test_vit")), Context(offline=True)
    assert [model.file for model in find_models(fixed, (resnet, vit), context)] == [resnet, vit]
    with pytest.raises(InputError, match="no weights of timm:test_resnet"):
        find_models(fixed, (vit, resnet), context)
    with pytest.raises(UsageError, match="--weights: files given: 1, backbones: 2"):
        find_models(fixed, (resnet,), context)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:test_resnot", "did you mean test_resnet"),
        ("timm:resnet18.in1k", "did you mean resnet18"),
        ("timm:quite-another", "choose a name that timm lists"),
        ("torchvision:resnet19", "did you mean resnet18"),
        ("torchvision:r3d_18", "no such model for images"),
        ("torchvision:fcn_resnet50", "no such model for images"),
    ],
)
def test_unknown_models(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find(name)


def test_models_without_pooled_features(monkeypatch, tmp_path: Path) -> None:
    from torchvision import models

    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "s.pth")  # noqa: TID251
    with pytest.raises(UsageError, match="torchvision:squeezenet1_1: has no layer of pooled features"):
        find("torchvision:squeezenet1_1", tmp_path / "s.pth")
    file = weights_of("test_resnet", tmp_path / "w.safetensors")
    for output, words in ((lambda x: [x], "gives no pooled features"), (lambda x: x / 0, "no finite numbers")):
        monkeypatch.setattr(
            "clusterkit.features.prepare.Standardised.forward", lambda self, x, f=output: f(x.float()[:, 0, 0])
        )
        with pytest.raises((UsageError, InputError), match=words):
            find(SMALL, file)


def test_licences_that_forbid_commercial_use_are_said(caplog, tmp_path: Path) -> None:
    import timm

    licences = {timm.get_pretrained_cfg(name).license or "" for name in timm.list_models(pretrained=True)}
    assert {name for name in licences if NON_COMMERCIAL.search(name)} >= {"cc-by-nc-4.0", "seer-license", "apple-amlr"}
    free = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "dinov3-license", "nvidia-open-model-license", "gemma"}
    assert not {name for name in licences & free if NON_COMMERCIAL.search(name)}
    file = weights_of("convnextv2_atto.fcmae_ft_in1k", tmp_path / "w.safetensors")
    model = find("timm:convnextv2_atto.fcmae_ft_in1k", file)
    assert model.licence == "cc-by-nc-4.0"
    assert "convnextv2_atto.fcmae_ft_in1k: its weights may not be used commercially" in caplog.text
