"""Random changes of training images, by tensor operations on a whole batch; each image gets its own.

All random numbers come from the training's generator, on the CPU: every device sees the same changes, and a training that
goes on from a checkpoint too. What a recipe does not ask for draws no number.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import Tensor

from cspnas.training.recipe import Recipe

# Of an image's area, as Zhong et al. 2020 (arXiv 1708.04896), section 3.2, have it.
ERASED_SHARES = 0.02, 0.33
# Of width to height, as Szegedy et al. 2015 (arXiv 1409.4842), section 6, crop.
RATIOS = 3 / 4, 4 / 3
# Of red, green and blue in grey (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Normalised `images` (N, C, H, W) changed as `recipe` says; channels_last."""
    for asked, change in (
        (recipe.flip, _flip),
        (recipe.shift, _shift),
        (recipe.crop_scale < 1, _resized_crop),
        (recipe.rotate, _rotate),
        (recipe.rand_augment, _rand_augment),
        (recipe.color_jitter, _jitter),
        (recipe.random_erasing, _erase),
    ):
        if asked:
            images = change(images, recipe, generator)
    return images.contiguous(memory_format=torch.channels_last)


def mix(
    images: Tensor, labels: Tensor, recipe: Recipe, generator: torch.Generator, classes: int
) -> tuple[Tensor, Tensor]:
    """Images mixed in pairs, and the shares (N, classes) of their labels; as they came where the recipe mixes nothing.

    `mixup` adds a pair up (Zhang et al. 2018, arXiv 1710.09412, equation 1), `cutmix` puts a rectangle of one into the other
    (Yun et al. 2019, arXiv 1905.04899, section 3.1). Where both are asked for, each batch has one of them.
    """
    kinds = [(alpha, mixed) for alpha, mixed in ((recipe.mixup, _added), (recipe.cutmix, _pasted)) if alpha]
    if not kinds:
        return images, labels
    alpha, mixed = kinds[int(torch.randint(len(kinds), (), generator=generator))]
    partner = torch.randperm(len(labels), generator=generator).to(images.device)
    images, share = mixed(images, images[partner], _beta(alpha, generator), generator)
    shares = F.one_hot(labels, classes).float()
    return images.contiguous(memory_format=torch.channels_last), share * shares + (1 - share) * shares[partner]


def _added(images: Tensor, others: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, float]:
    return share * images + (1 - share) * others, share


def _pasted(images: Tensor, others: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, float]:
    height, width = images.shape[2:]
    tall, wide = (round(side * math.sqrt(1 - share)) for side in (height, width))
    down, right = (int(torch.randint(most + 1, (), generator=generator)) for most in (height - tall, width - wide))
    pasted = images.clone()
    pasted[:, :, down : down + tall, right : right + wide] = others[:, :, down : down + tall, right : right + wide]
    return pasted, 1 - tall * wide / (height * width)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """A draw of Beta(alpha, alpha); torch's own takes no generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return float(torch.distributions.Beta(alpha, alpha).sample())


def _flip(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    mirrored = torch.rand(len(images), generator=generator).lt(0.5).to(images.device)
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)


def _shift(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Each image moved by up to `shift` pixels; its edges are repeated."""
    (count, channels, height, width), reach = images.shape, recipe.shift
    device = images.device
    dy, dx = torch.randint(2 * reach + 1, (2, count), generator=generator).to(device)
    rows = dy.view(-1, 1, 1, 1) + torch.arange(height, device=device).view(1, 1, -1, 1)
    columns = dx.view(-1, 1, 1, 1) + torch.arange(width, device=device).view(1, 1, 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    planes = torch.arange(channels, device=device).view(1, -1, 1, 1)
    return padded[torch.arange(count, device=device).view(-1, 1, 1, 1), planes, rows, columns]


def _resized_crop(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """A rectangle of each image, of an area share between `crop_scale` and 1, stretched to the whole."""
    area, ratio, down, right = torch.rand(4, len(images), generator=generator)
    area = recipe.crop_scale + area * (1 - recipe.crop_scale)
    ratio = torch.exp(math.log(RATIOS[0]) + ratio * math.log(RATIOS[1] / RATIOS[0]))
    tall, wide = (area / ratio).sqrt().clamp(max=1), (area * ratio).sqrt().clamp(max=1)
    zero = torch.zeros_like(tall)
    rows = torch.stack([zero, tall, (1 - tall) * (2 * down - 1)], 1)
    columns = torch.stack([wide, zero, (1 - wide) * (2 * right - 1)], 1)
    return _warped(images, torch.stack([columns, rows], 1))


def _rotate(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Each image turned by up to `rotate` degrees either way; its edges are repeated."""
    angle = (2 * torch.rand(len(images), generator=generator) - 1) * math.radians(recipe.rotate)
    height, width = images.shape[2:]
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    columns = torch.stack([cosine, -sine * height / width, zero], 1)
    rows = torch.stack([sine * width / height, cosine, zero], 1)
    return _warped(images, torch.stack([columns, rows], 1))


def _rand_augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Two changes of each image, drawn from six, up to the strength `rand_augment` of 10 (after Cubuk et al. 2020, arXiv
    1909.13719, whose changes of single bytes are left out): turn, two shears, two shifts, contrast.
    """
    count = len(images)
    for _ in range(2):
        kind = torch.randint(6, (count,), generator=generator)
        strength = recipe.rand_augment / 10 * (2 * torch.rand(count, generator=generator) - 1)
        angle, down, right, fall, lean, contrast = (strength * (kind == number) for number in range(6))
        cosine, sine = (angle * math.radians(30)).cos(), (angle * math.radians(30)).sin()
        columns = torch.stack([cosine, 0.3 * lean - sine, 0.6 * right], 1)
        rows = torch.stack([0.3 * fall + sine, cosine, 0.6 * down], 1)
        factor = (1 + 0.9 * contrast).to(images.device).view(-1, 1, 1, 1)
        images = _warped(images, torch.stack([columns, rows], 1)) * factor
    return images


def _warped(images: Tensor, transform: Tensor) -> Tensor:
    """`transform` (N, 2, 3) takes places of the new image, from -1 to 1 (x, y), to those of the old."""
    grid = F.affine_grid(transform.to(images.device), list(images.shape), align_corners=False)
    warped: Tensor = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return warped


def _jitter(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and, of colours, saturation, each by a factor within 1 +- `color_jitter`."""
    reach = recipe.color_jitter
    factors = (1 + reach * (2 * torch.rand(3, len(images), generator=generator) - 1)).to(images.device)
    brightness, contrast, saturation = factors.view(3, -1, 1, 1, 1).unbind()
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * contrast + mean + (brightness - 1)
    if images.shape[1] != len(LUMA):
        return images
    grey = (images * torch.tensor(LUMA, device=images.device).view(1, -1, 1, 1)).sum(1, keepdim=True)
    return (images - grey) * saturation + grey


def _erase(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """A rectangle of an image, with the chance `random_erasing`, becomes zero, the mean of all images."""
    height, width = images.shape[2:]
    chance, share, ratio, down, right = torch.rand(5, len(images), generator=generator)
    area = (ERASED_SHARES[0] + share * (ERASED_SHARES[1] - ERASED_SHARES[0])) * height * width
    ratio = torch.exp(math.log(0.3) * (1 - 2 * ratio))
    tall, wide = (area / ratio).sqrt().clamp(max=height - 1), (area * ratio).sqrt().clamp(max=width - 1)
    rows = _within(down * (height - tall), tall, height)[:, None, :, None]
    columns = _within(right * (width - wide), wide, width)[:, None, None, :]
    erased = rows & columns & (chance < recipe.random_erasing).view(-1, 1, 1, 1)
    return images.masked_fill(erased.to(images.device), 0.0)


def _within(first: Tensor, length: Tensor, count: int) -> Tensor:
    """(N, count): which of `count` pixels lie in the `length` (N,) from `first` (N,) on."""
    pixels = torch.arange(count) + 0.5
    return (pixels >= first.view(-1, 1)) & (pixels < (first + length).view(-1, 1))
