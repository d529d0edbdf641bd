"""Models of timm: what it says of them, and their networks without the classifier."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from clusterkit.errors import UsageError
from clusterkit.features.card import NOT_STATED, Card, quiet, unknown

SMALLER = {"dinov2": 224}
"""Sizes for families that were trained at this size, and only at the end at the larger one that timm gives."""


def card(name: str, size: int | None) -> Card:
    """Return what timm says of a model, with its own size for None. Raises UsageError for an unknown name."""
    with quiet():
        import timm

        architecture = name.partition(".")[0]
        if not timm.is_model(architecture):
            raise unknown("timm", name, [*timm.list_models(), *timm.list_models(pretrained=True)])
        try:
            entry = timm.get_pretrained_cfg(name, allow_unregistered=False)
        except RuntimeError as error:
            raise unknown("timm", name, timm.list_models(pretrained=True)) from error
        settings = timm.data.resolve_data_config(pretrained_cfg=entry.to_dict())
    channels, *sides = settings["input_size"]
    if channels != 3:
        raise UsageError(f"--backbone timm:{name}: takes pictures of {channels} channels; choose a model for 3")
    own = next((side for family, side in SMALLER.items() if family in architecture), min(sides))
    tagged = f"{architecture}.{entry.tag}" if entry.tag else architecture
    names = {name, tagged} | ({architecture} if timm.get_pretrained_cfg(architecture).tag == entry.tag else set())
    return Card(
        name=name,
        licence=NOT_STATED if entry.license in (None, "", "unknown") else entry.license,
        size=size or own,
        crop=settings["crop_pct"],
        mode=settings["crop_mode"],
        interpolation=settings["interpolation"],
        mean=settings["mean"],
        std=settings["std"],
        files=tuple(f"{name}.safetensors" for name in sorted(names, key=lambda other: other != name)),
        repository=entry.hf_hub_id or "",
        url=entry.url or "",
        fixed_size=entry.fixed_input_size,
    )


def plain(card: Card, **settings: Any) -> nn.Module:
    """Return a model of timm with pooled features as its output, as `timm.create_model` makes it."""
    import timm

    size = {"img_size": card.size} if card.fixed_size else {}
    network: nn.Module = timm.create_model(card.name, **{"num_classes": 0, **size, **settings})
    return network


def loaded(card: Card, state: dict[str, Tensor]) -> tuple[nn.Module, list[str], list[str]]:
    """Return a model of timm with a state dict, the keys that the state lacks, and its foreign keys.

    timm itself adapts the state to the model, for example position embeddings to the size. Keys of the classifier are
    not foreign. Raises errors of many types for a state of another model.
    """
    with _watched() as results:
        network = plain(card, pretrained=True, pretrained_cfg_overlay={"state_dict": state, "source": None})
    missing = [key for result in results for key in result.missing_keys]
    foreign = [key for result in results for key in result.unexpected_keys]
    entry: Any = network.pretrained_cfg
    heads = entry.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else heads
    foreign = [key for key in foreign if not key.startswith(tuple(f"{head}." for head in heads))]
    if foreign:
        # A classifier of several layers has keys that timm does not list.
        whole = plain(card, num_classes=entry["num_classes"]).state_dict()
        foreign = [key for key in foreign if key not in whole]
    return network, missing, foreign


def patch_side(network: nn.Module) -> int:
    """Return the side in pixels of the squares that a model cuts pictures into and reads as a whole, 1 without any."""
    from timm.layers import PatchEmbed

    layers = [layer for layer in network.modules() if isinstance(layer, PatchEmbed) and not layer.dynamic_img_pad]
    return int(max(layers[0].patch_size)) if layers else 1


@contextmanager
def _watched() -> Iterator[list[Any]]:
    """Yield the list of what `load_state_dict` of any network returns.

    timm drops the result and tolerates missing keys where it leaves out the classifier.
    """
    results: list[Any] = []
    load = nn.Module.load_state_dict

    def watched(self: nn.Module, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        results.append(load(self, state_dict, strict=False, assign=assign))
        return results[-1]

    nn.Module.load_state_dict = watched  # type: ignore[method-assign]
    try:
        yield results
    finally:
        nn.Module.load_state_dict = load  # type: ignore[method-assign]
