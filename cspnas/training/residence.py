"""Whether the images of a data set stay on a GPU beside the trainings: arithmetic on bytes, without a device."""

from __future__ import annotations

# Of what is free: the rest stays for others.
KEPT = 0.9
# Of the predicted tensors: an allocator's fragments, workspaces of single kernels.
MEMORY_SLACK = 1.25


def fits_beside(images: int, training: int, free: int) -> bool:
    """Whether the bytes of all `images` and of the predicted `training` are within the `free` ones."""
    return images + MEMORY_SLACK * training <= KEPT * free
