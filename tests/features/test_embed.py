import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from clusterkit.config import Context, Kind, cache_folder
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError
from clusterkit.features import embed as embedding
from clusterkit.features.embed import embed, embedded, in_order
from clusterkit.features.models import Model, find_models, recorded_models
from clusterkit.features.store import Store
from clusterkit.reading import Reading
from clusterkit.settings import Fixed
from tests import photographer
from tests.features.weights_of import photo, weights_of


def find(name: str, folder: Path) -> Model:
    [model] = find_models(
        Fixed((name,)), (weights_of(name.split(":")[1], folder / f"{name[5:]}.safetensors"),), Context()
    )
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return find("timm:test_vit", tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return find("timm:test_resnet", tmp_path_factory.mktemp("weights"))


def pictures(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        photo(60 + number, 50).rotate(10 * number).save(folder / f"{number:02d}.png")
    return folder


def load(folder: Path | str, **settings: Any) -> Dataset:
    name = f"folder:{folder}" if isinstance(folder, Path) else folder
    return load_dataset(name, Path(), whole=True, **settings)


def rows_of(data: Dataset) -> Tensor:
    assert data.kind is Kind.VECTORS
    return torch.cat([block for subset in data.subsets for block in subset.blocks()])


def test_features_are_those_of_the_model(model: Model, second: Model, tmp_path: Path) -> None:
    data = load(pictures(tmp_path / "a", range(5)))
    made = embedded(data, [model], Context())
    files = data.subsets[0].files
    assert files is not None
    prepared = torch.stack([model.prepare(Image.open(file).convert("RGB")) for file in files])
    with torch.inference_mode():
        expected = model.build()(prepared)
    torch.testing.assert_close(rows_of(made), expected, rtol=1e-4, atol=1e-4)
    assert made.features == (model.to_header(),)
    assert (made.shape, made.fingerprint, made.subsets[0].files) == ((model.width,), data.fingerprint, files)
    both = rows_of(embedded(data, [model, second], Context()))
    assert both.shape == (5, model.width + second.width)
    lengths = torch.stack([both[:, : model.width].norm(dim=1), both[:, model.width :].norm(dim=1)])
    torch.testing.assert_close(lengths, torch.ones(2, 5))
    torch.testing.assert_close(both[:, : model.width], torch.nn.functional.normalize(expected), rtol=1e-4, atol=1e-4)
    again = embedded(data, recorded_models(list(made.features), Context(data=model.file.parent)), Context())
    assert torch.equal(rows_of(again), rows_of(made))


def test_no_picture_is_embedded_twice(
    model: Model, second: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clusterkit")
    first = pictures(tmp_path / "a", range(10))
    context = Context()
    assert embed(load(first), [model], context).new == 10
    assert embed(load(first), [model], context).new == 0
    moved = shutil.copytree(first, tmp_path / "b")
    (moved / "00.png").rename(moved / "zero.png")
    assert embed(load(moved), [model], context).new == 0
    assert embed(load("folder:b", size=8), [model], context).new == 0
    pictures(moved, range(8, 13))
    # Of two files with one content only one is embedded.
    shutil.copy(moved / "12.png", moved / "twin.png")
    embedded(load(moved), [model], context)
    again = embed(load(moved), [model], context)
    assert (again.new, again.kept, again.copies) == (0, 13, 1)
    assert embed(load(moved), [second], context).new == 14 - 1
    assert embed(load(moved), [second, model], context).new == 0
    messages = [record.getMessage() for record in caplog.records if record.getMessage().startswith("embed")]
    assert messages == ["embed: 14 items of folder:b: 3 new, 10 kept, 1 a copy"]


def test_copies_of_a_picture_are_counted_apart(model: Model, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", range(8))
    assert embed(load(folder), [model], Context()).count == "embed: 8 items of folder:a: 8 new, 0 kept"
    shutil.rmtree(cache_folder())
    shutil.copy(folder / "03.png", folder / "twin.png")
    assert embed(load(folder), [model], Context()).count == "embed: 9 items of folder:a: 8 new, 0 kept, 1 a copy"
    shutil.copy(folder / "03.png", folder / "third.png")
    assert embed(load(folder), [model], Context()).count == "embed: 10 items of folder:a: 0 new, 8 kept, 2 copies"


def test_every_batch_has_the_same_size(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of a picture depend on the size of its batch in the last bits."""
    forward, shapes = embedding.forward, []

    def seen(network: Callable[[Tensor], Tensor], batch: Tensor, device: torch.device) -> Tensor:
        shapes.append(tuple(batch.shape))
        return forward(network, batch, device)

    monkeypatch.setattr(embedding, "forward", seen)
    monkeypatch.setattr(embedding, "BATCH", {"cpu": 4})
    made = embed(load(pictures(tmp_path / "a", range(9))), [model], Context(device="cpu"))
    assert shapes == 3 * [(4, 3, model.size, model.size)]
    assert len(rows_of(made.data)) == 9


def test_a_command_whose_features_are_kept_waits_for_no_other(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(pictures(tmp_path / "a", range(3)))
    embedded(data, [model], Context())
    monkeypatch.setattr(Store, "held", lambda store: pytest.fail("waits"))
    assert embed(data, [model], Context()).new == 0


def test_features_do_not_depend_on_what_was_kept(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(pictures(tmp_path / "all", range(19)))
    at_once = rows_of(embedded(data, [model], Context()))
    shutil.rmtree(cache_folder())
    assert embed(load(pictures(tmp_path / "some", range(3, 12, 2))), [model], Context()).new == 5
    in_two = embed(data, [model], Context())
    assert in_two.new == 14
    assert torch.equal(rows_of(in_two.data), at_once)
    shutil.rmtree(cache_folder())
    forward, calls = embedding.forward, []

    def interrupted(*arguments: Any) -> Tensor:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return forward(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            embedded(data, [model], Context())
    resumed = embed(data, [model], Context())
    assert resumed.new == 19 - 8
    assert torch.equal(rows_of(resumed.data), at_once)


def test_features_do_not_depend_on_the_number_of_threads() -> None:
    batches = list(torch.randint(256, (6, 2, 3, 128, 128), dtype=torch.uint8, generator=torch.manual_seed(0)))

    def network(batch: Tensor) -> Tensor:
        # Threads that share this sum add up parts of it.
        return (batch / 255).sum().expand(len(batch), 1)

    before = torch.get_num_threads()
    rows = []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        try:
            rows.append(torch.cat(list(in_order(network, iter(batches), torch.device("cpu")))))
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
    assert len(rows[0].unique()) == len(batches)
    assert torch.equal(rows[0], rows[1])
    assert torch.equal(rows[0], rows[2])


def test_a_damaged_file_of_the_cache_is_made_again(model: Model, tmp_path: Path) -> None:
    data = load(pictures(tmp_path / "a", range(3)))
    before = rows_of(embedded(data, [model], Context()))
    [part] = cache_folder().rglob("*.rows")
    part.write_bytes(part.read_bytes()[:-5])
    again = embed(data, [model], Context())
    assert again.new == 3
    assert torch.equal(rows_of(again.data), before)


def test_a_cache_that_cannot_be_written_costs_only_time(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clusterkit")
    data = load(pictures(tmp_path / "a", range(3)))
    before = rows_of(embedded(data, [model], Context()))
    shutil.rmtree(cache_folder())
    cache_folder().touch()
    again = embed(data, [model], Context())
    assert again.new == 3
    assert torch.equal(rows_of(again.data), before)
    assert caplog.text.count("cannot keep features there") == 1


def test_pictures_are_read_as_a_person_sees_them(model: Model, tmp_path: Path) -> None:
    """A photographer's folder: pictures of one kind stay alike in every form of file."""
    kinds = photographer.build(tmp_path / "photos")
    data = load(tmp_path / "photos", reading=Reading(flat=True, skip_bad=True))
    rows = rows_of(embedded(data, [model], Context()))
    assert len(rows) == 62
    names = data.subsets[0].names
    assert names is not None
    assert set(names) == set(kinds)
    upright = photo(90, 50)
    exif = Image.Exif()
    exif[274] = 6
    folder = tmp_path / "turned"
    folder.mkdir()
    upright.save(folder / "a.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "b.png", exif=exif)
    clear = upright.convert("RGBA")
    clear.putalpha(0)
    clear.save(folder / "c.png")
    Image.new("RGB", upright.size, "white").save(folder / "d.png")
    grey = upright.convert("L")
    grey.save(folder / "e.png")
    grey.convert("RGB").save(folder / "f.png")
    a, b, c, d, e, f = rows_of(embedded(load(folder), [model], Context()))
    assert torch.equal(a, b)
    assert torch.equal(c, d)
    assert torch.equal(e, f)
    assert not torch.equal(a, d)


def test_arrays_are_read_at_their_own_size_and_not_inverted(model: Model, tmp_path: Path) -> None:
    ink = np.full((6, 40, 50), 255, np.uint8)
    for number in range(6):
        ink[number, 10 + number : 30, 15:40] = 10 * number
    np.savez(tmp_path / "ink.npz", x=ink)
    data = load("arrays:ink.npz")
    assert (data.inverted, data.shape, data.size) == (True, (1, 40, 40), 40)
    made = embedded(data, [model], Context())
    prepared = [model.prepare(Image.fromarray(image[:, 5:45]).convert("RGB")) for image in ink]
    with torch.inference_mode():
        expected = model.build()(torch.stack(prepared))
    torch.testing.assert_close(rows_of(made), expected, rtol=1e-4, atol=1e-4)
    np.savez(tmp_path / "more.npz", x=np.concatenate([ink[::-1], 255 - ink[:2]]))
    assert embed(load("arrays:more.npz"), [model], Context()).new == 2
    header = made.to_header()
    assert (header["size"], header["channels"], header["features"]) == (40, None, [model.to_header()])


def test_named_sets_have_pixels_or_files(model: Model, tmp_path: Path) -> None:
    def some(name: str) -> Dataset:
        data = load(name)
        return replace(data, subsets=tuple(subset.take(torch.arange(4)) for subset in data.subsets))

    data = some("glyphs_eval@0,20")
    assert len(data.subsets) > 1
    made = embed(data, [model], Context())
    assert made.new == len(data)
    assert [len(subset) for subset in made.data.subsets] == [4] * len(data.subsets)
    assert embed(replace(data, subsets=data.subsets[1:]), [model], Context()).new == 0


def test_a_long_thin_picture_needs_little_memory(model: Model) -> None:
    for size in ((40_000, 3), (2, 30_000)):
        assert max(embedding.middle(Image.new("RGB", size)).size) <= 48
    image = photo(400, 30)
    assert torch.equal(model.prepare(embedding.middle(image)), model.prepare(image))


def test_sets_that_cannot_be_embedded(model: Model, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((5, 3)))
    with pytest.raises(InputError, match=r"data set arrays:a.npz holds vectors, but a fixed backbone reads pictures"):
        embedded(load("arrays:a.npz"), [model], Context())
    data = load(pictures(tmp_path / "pics", range(3)))
    (tmp_path / "pics" / "01.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"pics/01.png: not a readable image"):
        embedded(data, [model], Context())
    (tmp_path / "pics" / "01.png").unlink()
    with pytest.raises(InputError, match=r"pics/01.png: cannot be read"):
        embedded(data, [model], Context())


def test_a_picture_that_changes_while_it_is_read(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(pictures(tmp_path / "a", range(3)))
    read = embedding.picture

    def changing(path: Path, side: int) -> Image.Image:
        image = read(path, side)
        Image.new("RGB", (20, 20)).save(path)
        return image

    monkeypatch.setattr(embedding, "picture", changing)
    with pytest.raises(InputError, match="changed while it was read; run the command again"):
        embedded(data, [model], Context())


def with_features(
    change: Callable[[Tensor], Tensor], model: Model, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> embedding.Embedded:
    forward = embedding.forward
    monkeypatch.setattr(embedding, "forward", lambda *arguments: change(forward(*arguments)))
    return embed(data, [model, model], Context())


def test_features_that_tell_nothing_apart(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(pictures(tmp_path / "a", range(3)))
    with pytest.raises(InputError, match=re.escape(f"{model.file}: the weights of timm:test_vit give features of 0")):
        with_features(lambda rows: rows * torch.nan, model, data, monkeypatch)
    assert not list(cache_folder().rglob("*.rows"))
    monkeypatch.setattr(embedding, "forward", lambda network, batch, device: torch.zeros(len(batch), model.width))
    zero = embed(data, [model, replace(model, sha256="1" * 64)], Context())
    assert [warning.split(",")[0] for warning in zero.warnings] == ["folder:a: all features of 3 pictures"]
    assert not rows_of(zero.data).any()
    monkeypatch.setattr(embedding, "forward", lambda network, batch, device: torch.ones(len(batch), model.width))
    [warning] = embed(data, [replace(model, sha256="2" * 64)], Context()).warnings
    assert warning.startswith("folder:a: all pictures have the same features")


def test_real_weights_on_photos(real_data: Path) -> None:
    """Features of one photo are nearer to those of its mirror image than to those of another photo."""
    [model] = find_models(Fixed(("timm:tf_efficientnet_lite0",)), (), Context(data=real_data, offline=True))
    folder = Path("pics")
    folder.mkdir()
    for number, file in enumerate(sorted((real_data / "office31" / "dslr").rglob("*.jpg"))[:90:30]):
        with Image.open(file) as image:
            image.save(folder / f"{number}.png")
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"{number}m.png")
    rows = rows_of(embedded(load(folder), [model], Context()))
    cosine = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=2).fill_diagonal_(-1)
    assert cosine.argmax(1).tolist() == [1, 0, 3, 2, 5, 4]
