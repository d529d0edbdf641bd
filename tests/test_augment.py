import pytest
import torch
import torch.nn.functional as F

from clusterkit.augment import augment, bent, erase, quarter_turns, recoloured, shifted, to_float, zoomed
from clusterkit.config import Kind, Variation
from clusterkit.distributed import Share


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 40, channels: int = 1) -> torch.Tensor:
    return torch.rand(count, channels, 16, 16, generator=generator(9)).round()


@pytest.mark.parametrize("kind", [Kind.CHARACTERS, Kind.PHOTOS])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("variation", [Variation.MILD, Variation.STRONG])
def test_the_generator_decides_and_the_range_is_kept(kind: Kind, channels: int, variation: Variation) -> None:
    before = images(channels=channels)
    first, again, other = (augment(before, kind, generator(seed), None, variation) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == before.shape
    assert first.min() >= 0
    assert first.max() <= 1 + 1e-6
    assert torch.equal(before, images(channels=channels)), "the items given stay as they are"


def test_each_image_gets_its_own_variation() -> None:
    same = images(1).expand(20, 1, 16, 16)
    varied = augment(same, Kind.CHARACTERS, generator())
    assert len({item.numpy().tobytes() for item in varied}) == 20


def test_characters_move_little() -> None:
    blank = torch.zeros(200, 1, 32, 32)
    blank[:, :, 14:18, 14:18] = 1
    moved = augment(blank, Kind.CHARACTERS, generator())
    rows = torch.arange(32.0)
    ink = moved.sum((1, 2, 3))
    centre = (moved.sum((1, 3)) * rows).sum(1) / ink
    assert (centre - 15.5).abs().max() < 3
    assert ((ink / 16 > 0.6) & (ink / 16 < 1.5)).all()


def test_half_of_the_photos_are_mirrored_and_none_is_turned_over() -> None:
    ramp = torch.linspace(0, 1, 32)
    across = augment(ramp.expand(400, 1, 32, 32), Kind.PHOTOS, generator())[:, 0, 16]
    mirrored = across[:, 20] < across[:, 12]
    assert 150 < int(mirrored.sum()) < 250
    down = augment(ramp[:, None].expand(400, 1, 32, 32), Kind.PHOTOS, generator())[:, 0, :, 16]
    assert (down[:, 20] > down[:, 12]).all()


def test_marked_photos_are_mirrored() -> None:
    ramp = torch.linspace(0, 1, 32).expand(6, 1, 32, 32)
    flipped = torch.tensor([True, False, False, True, True, False])
    across = augment(ramp, Kind.PHOTOS, generator(), flipped=flipped)[:, 0, 16]
    assert torch.equal(across[:, 20] < across[:, 12], flipped)


def test_photos_are_shifted_by_whole_pixels_up_to_an_eighth_of_their_side() -> None:
    dot = torch.zeros(500, 1, 32, 48)
    dot[:, :, 16, 24] = 1
    moved = augment(dot, Kind.PHOTOS, generator(), flipped=torch.zeros(500, dtype=torch.bool))
    _, _, rows, columns = moved.nonzero().T
    assert rows.unique().tolist() == list(range(12, 21))
    assert columns.unique().tolist() == list(range(18, 31))


def test_shifts_reflect_the_photo_at_its_outermost_pixels() -> None:
    photos, most = torch.rand(40, 2, 5, 9, generator=generator()), 3
    down, right = torch.randint(-most, most + 1, (2, 40), generator=generator(1))
    flipped = torch.rand(40, generator=generator(2)) < 0.5
    for photo, y, x, mirrored, found in zip(
        photos, down, right, flipped, shifted(photos, down, right, flipped), strict=True
    ):
        padded = F.pad(photo.flip(2) if mirrored else photo, [most] * 4, mode="reflect")
        assert torch.equal(found, padded[:, most - y : most - y + 5, most - x : most - x + 9])


def test_a_strong_variation_shows_a_part_of_a_photo() -> None:
    ramp = torch.linspace(0, 1, 65).expand(500, 1, 65, 65)
    flipped = torch.arange(500) % 2 == 1
    across = zoomed(ramp, torch.rand(3, 500, generator=generator()), flipped)[:, 0, 32]
    steps = across[:, 30:36].diff(dim=1).mean(1) * 64
    assert torch.equal(steps < 0, flipped)
    assert 0.59 < steps.abs().min() < 0.65 < 0.95 < steps.abs().max() < 1.01


def test_the_whole_photo_is_shown_at_the_largest_part() -> None:
    photos = torch.rand(2, 3, 9, 16, generator=generator())
    drawn = torch.tensor([[1.0, 1], [0.5, 0.5], [0.5, 0.5]])
    found = zoomed(photos, drawn, torch.tensor([False, True]))
    torch.testing.assert_close(found, torch.stack([photos[0], photos[1].flip(2)]), atol=1e-5, rtol=0)


def test_light_changes_by_factors() -> None:
    photo = torch.rand(1, 3, 4, 5, generator=generator()) * 0.2 + 0.4
    grey = photo.mean(1, keepdim=True)
    one = torch.ones(1)
    torch.testing.assert_close(recoloured(photo, one, one, one), photo)
    torch.testing.assert_close(recoloured(photo, 1.2 * one, one, one), 1.2 * photo)
    torch.testing.assert_close(recoloured(photo, one, 0 * one, one), photo.mean().expand_as(photo))
    torch.testing.assert_close(recoloured(photo, one, one, 0 * one), grey.expand_as(photo))
    assert recoloured(photo, 3 * one, one, one).max() == 1


def test_what_moves_in_is_dark_beside_characters_and_mirrored_beside_photos() -> None:
    full = torch.ones(50, 1, 16, 16)
    assert augment(full, Kind.CHARACTERS, generator()).amin() == 0
    assert augment(full, Kind.PHOTOS, generator()).amin() > 1 - 1e-5


def test_vectors_stay_as_they_are() -> None:
    vectors = torch.randn(5, 3)
    assert augment(vectors, Kind.VECTORS, generator()) is vectors
    assert to_float(vectors) is vectors


def test_images_are_scaled_to_one() -> None:
    assert to_float(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([0, 0.2, 1])


def test_all_images_of_a_group_are_turned_alike() -> None:
    before = images(40)
    after = quarter_turns(before, 8, generator())
    turns = []
    for old, new in zip(before.chunk(8), after.chunk(8), strict=True):
        fitting = [turn for turn in range(4) if torch.equal(old.rot90(turn, (2, 3)), new)]
        assert len(fitting) == 1
        turns += fitting
    assert len(set(turns)) > 1
    assert torch.equal(after, quarter_turns(before, 8, generator()))


@pytest.mark.parametrize("kind", Kind)
def test_shares_of_a_batch_are_varied_as_the_whole_is(kind: Kind) -> None:
    before = images(15)
    shares = [Share(start, stop, 15) for start, stop in ((0, 4), (4, 5), (5, 15))]
    for vary in (
        lambda items, share: augment(items, kind, generator(), share),
        lambda items, share: augment(items, kind, generator(), share, Variation.STRONG),
        lambda items, share: augment(items, kind, generator(), share, Variation.ERASED),
        lambda items, share: quarter_turns(items, 5, generator(), share),
    ):
        parts = [vary(before[share.rows], share) for share in shares]
        torch.testing.assert_close(torch.cat(parts), vary(before, None), atol=1e-5, rtol=0)


def test_strong_variations_are_bent_and_larger() -> None:
    lines = torch.zeros(200, 1, 32, 32)
    lines[:, :, 15:17, 4:28] = 1

    # A line of which no two columns are at heights that a straight one has.
    def unevenness(variation: Variation) -> torch.Tensor:
        moved = augment(lines, Kind.CHARACTERS, generator(), None, variation)[:, 0]
        heights = (moved * torch.arange(32.0)[:, None]).sum(1) / moved.sum(1).clamp_min(1e-3)
        return (heights[:, 12] - 2 * heights[:, 16] + heights[:, 20]).abs().mean()

    assert unevenness(Variation.STRONG) > 5 * unevenness(Variation.MILD)
    assert augment(lines, Kind.CHARACTERS, generator(), None, Variation.STRONG).max() <= 1 + 1e-6


def test_bends_are_the_bicubic_interpolation_of_each_images_points() -> None:
    points = torch.randn(3, 2, 25, generator=generator())
    expected = F.interpolate(points.view(3, 2, 5, 5), size=(20, 31), mode="bicubic", align_corners=True)
    torch.testing.assert_close(bent(points, 20, 31), expected.permute(0, 2, 3, 1), atol=1e-5, rtol=1e-4)


def test_a_rectangle_is_erased_from_the_chosen_images_only() -> None:
    full = torch.ones(300, 2, 40, 60)
    chosen = torch.rand(300, generator=generator()) < 0.6
    blanked = erase(full, torch.rand(4, 300, generator=generator(1)), chosen)
    assert torch.equal(blanked[~chosen], full[~chosen])
    for image in blanked[chosen]:
        gone = image[0] == 0
        height, width = int(gone.any(1).sum()), int(gone.any(0).sum())
        assert int(gone.sum()) == height * width
        assert 5 <= height <= 18
        assert 8 <= width <= 27
        assert torch.equal(image[0], image[1])


def test_erasing_is_all_that_differs_from_mild_variations() -> None:
    before = images(200)
    mild, erased = (
        augment(before, Kind.CHARACTERS, generator(), None, way) for way in (Variation.MILD, Variation.ERASED)
    )
    kept = erased == mild
    assert (erased[~kept] == 0).all()
    assert 80 < int((~kept).flatten(1).any(1).sum()) < 160
