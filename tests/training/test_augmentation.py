"""Random changes of images against what each of them may and may not do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cspnas.training.augmentation import augment, mix
from cspnas.training.recipe import Recipe

PLAIN = Recipe(flip=False, shift=0)
COUNT = 200


def gradient() -> Tensor:
    """Images (200, 3, 24, 20) that rise by 1 from left to right; their mean is zero."""
    return torch.linspace(-0.5, 0.5, 20).expand(COUNT, 3, 24, 20).contiguous()


def changed(images: Tensor | None = None, **keys: float) -> Tensor:
    recipe = Recipe(**{"flip": False, "shift": 0, **keys})  # type: ignore[arg-type]
    return augment(gradient() if images is None else images, recipe, torch.Generator().manual_seed(3))


def test_a_recipe_that_asks_for_nothing_changes_nothing_and_draws_no_number() -> None:
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    images, labels = gradient(), torch.arange(COUNT) % 7
    assert torch.equal(augment(images, PLAIN, generator), images)
    mixed = mix(images, labels, PLAIN, generator, 7)
    assert mixed[0] is images and mixed[1] is labels
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize(
    "keys",
    [{"crop_scale": 0.3}, {"rotate": 30.0}, {"color_jitter": 0.4}, {"random_erasing": 0.9}, {"rand_augment": 9}],
    ids=lambda keys: next(iter(keys)),
)
def test_each_image_is_changed_in_its_own_way_and_the_same_way_from_the_same_seed(keys: dict[str, float]) -> None:
    first, again = changed(**keys), changed(**keys)
    assert torch.equal(first, again)
    assert first.shape == gradient().shape and first.isfinite().all()
    assert len(torch.unique(first.flatten(1), dim=0)) > COUNT / 2


def test_a_crop_shows_at_least_its_share_of_the_area_and_all_places() -> None:
    """A crop of width w of an image that rises by 1 rises by w; over many crops the middle is everywhere."""
    out = changed(crop_scale=0.25)[:, 0, 12]
    rise = (out[:, -1] - out[:, 0]) / 0.95  # between the centres of the first and the last of 20 pixels
    assert rise.min() > 0.5 * (3 / 4) ** 0.5 - 0.06 and rise.max() < 1.06
    middle = out.mean(1)
    assert middle.min() < -0.2 and middle.max() > 0.2


def test_a_turn_is_by_at_most_its_degrees() -> None:
    """Of an image that rises from left to right, a turn by a degrees rises by sin(a) from top to bottom."""
    square = torch.linspace(-0.5, 0.5, 21).expand(COUNT, 1, 21, 21).contiguous()
    out = changed(square, rotate=20.0)
    slope = (out[:, 0, 12, 10] - out[:, 0, 8, 10]) / (out[:, 0, 10, 12] - out[:, 0, 10, 8])
    degrees = torch.rad2deg(torch.atan(slope))
    assert degrees.abs().max() < 20.5 and degrees.min() < -15 and degrees.max() > 15


def test_jitter_changes_brightness_and_contrast_by_at_most_its_share() -> None:
    out = changed(color_jitter=0.3)
    means, spreads = out.mean((1, 2, 3)), out[:, 0].std((1, 2)) / gradient()[0, 0].std()
    assert means.abs().max() <= 0.3 + 1e-5 and means.abs().max() > 0.25
    assert spreads.min() >= 0.7 - 1e-4 and spreads.max() <= 1.3 + 1e-4
    assert changed(gradient()[:, :1].contiguous(), color_jitter=0.3).shape == (COUNT, 1, 24, 20)


def test_an_erased_rectangle_is_of_the_papers_size_in_the_asked_share_of_the_images() -> None:
    erased = changed(gradient() + 2, random_erasing=0.5) == 0
    hit = erased.flatten(1).any(1)
    assert 0.35 < hit.float().mean() < 0.65
    share = erased[hit, 0].float().mean((1, 2))
    assert share.min() > 0.005 and share.max() < 0.36
    for one in erased[hit, 0]:
        rows, columns = one.any(1), one.any(0)
        assert torch.equal(one, rows[:, None] & columns[None])


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_mixed_labels_say_how_much_of_each_image_is_there(key: str) -> None:
    """Image n is filled with n, so that its pixels say what it is made of."""
    labels = torch.arange(10)
    images = labels.float().view(-1, 1, 1, 1).expand(10, 2, 8, 8).contiguous()
    seen = []
    for seed in range(20):
        recipe = Recipe(flip=False, **{key: 1.0})  # type: ignore[arg-type]
        mixed, shares = mix(images, labels, recipe, torch.Generator().manual_seed(seed), 10)
        assert torch.allclose(shares.sum(1), torch.ones(10))
        assert torch.allclose(mixed.mean((1, 2, 3)), shares @ labels.float(), atol=1e-5)
        assert key == "mixup" or torch.equal(mixed, mixed.round())
        seen.append(float(shares.max()))
    assert min(seen) < 0.7
    assert max(seen) > 0.9


def test_where_both_are_asked_for_each_batch_has_one_of_them() -> None:
    images, labels = torch.rand(4, 1, 8, 8), torch.arange(4)
    kinds = set()
    for seed in range(12):
        mixed, _ = mix(images, labels, Recipe(mixup=1.0, cutmix=1.0), torch.Generator().manual_seed(seed), 4)
        pasted: Callable[[Tensor], bool] = lambda one: bool(torch.isin(one, images).all())
        kinds.add(pasted(mixed))
    assert kinds == {True, False}
