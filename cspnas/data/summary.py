"""What was read of a data set, to be said in one line and kept in the study; no torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cspnas.errors import printable

# Class names, and reasons to skip a file, that fit into the line.
NAMED = 5


@dataclass(frozen=True, slots=True)
class DataSummary:
    """`training` and `validation`: numbers of images. `shape`: (C, H, W) of one.

    `in_both`: validation images whose pixels are those of a training image. `skipped`: how many files were not read, by
    the reason. `enlarged`: images that were smaller than what they were brought to.
    """

    training: int
    validation: int
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    in_both: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    enlarged: int = 0

    def line(self) -> str:
        """As in `72 images (60 training + 12 validation), 1 x 16 x 16, classes cat, dog, hen; 40 skipped: .txt`."""
        total, shape = self.training + self.validation, " x ".join(map(str, self.shape))
        line = f"{total:,} images ({self.training:,} training + {self.validation:,} validation), {shape}"
        line += f", classes {_listed(self.class_names)}"
        if self.enlarged:
            line += f"; {self.enlarged:,} enlarged"
        if len(self.skipped) == 1:
            line += "; {1:,} skipped: {0}".format(*next(iter(self.skipped.items())))
        elif self.skipped:
            counts = tuple(f"{count:,} {reason}" for reason, count in self.skipped.items())
            line += f"; {sum(self.skipped.values()):,} skipped: {_listed(counts)}"
        return printable(line)

    def lines(self, name: str) -> list[str]:
        """What is said of the data set `name` before anything is trained on it."""
        warning = self.warning()
        return [f"data set {name}: {self.line()}", *([f"warning: {warning}"] if warning else [])]

    def warning(self) -> str | None:
        """A line where training and validation share images; else None."""
        if not self.in_both:
            return None
        images = "1 image stands" if self.in_both == 1 else f"{self.in_both:,} images stand"
        return f"{images} in both training and validation: the accuracy will be too good"

    @classmethod
    def from_json(cls, found: Mapping[str, Any], class_names: Sequence[str]) -> DataSummary:
        """What `to_json` gave. Raises KeyError or TypeError where it is something else."""
        return cls(**{**found, "shape": tuple(found["shape"]), "class_names": tuple(class_names)})

    def to_json(self) -> dict[str, Any]:
        """As plain data, without the class names, which a study has already."""
        found = asdict(self) | {"skipped": dict(self.skipped)}
        del found["class_names"]
        return found


def _listed(names: tuple[str, ...]) -> str:
    shown = names if len(names) <= NAMED + 1 else names[:NAMED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
