"""`cspnas data`: what a data set holds, in words, as JSON and as a picture."""

from __future__ import annotations

import json
from pathlib import Path

from cspnas.data.data_report import DataReport, data_report
from cspnas.data.image_settings import ImageSettings
from cspnas.data.own_data import name_of_path
from cspnas.errors import InputError, printable
from cspnas.io.atomic_write import check_output, write_whole
from cspnas.io.quantities import format_quantity
from cspnas.io.steps import steps

# Classes that the text names; JSON has all.
MOST_CLASS_LINES = 30


def described_data(
    name: str, settings: ImageSettings, *, sheet: Path | None = None, force: bool = False, as_json: bool = False
) -> str:
    """Prepare the data set, a path or a name, and report on it; `sheet` is where its contact sheet goes.

    Raises InputError as `data.load` does, and for a sheet that cannot be written.
    """
    if sheet is not None:
        _check_sheet(sheet, force=force)
    from cspnas.data import datasets

    with steps() as step:
        data = datasets.load(name_of_path(name), settings, step=step)
        step("looking at the images")
        report = data_report(data, settings)
        if sheet is not None:
            from cspnas.data.contact_sheet import contact_sheet

            write_whole(sheet, contact_sheet(data), force=force)
    if as_json:
        return json.dumps(report.to_json(), indent=2)
    return "\n".join([*report_lines(report), *([f"sheet: {sheet}"] if sheet else [])])


def report_lines(report: DataReport) -> list[str]:
    """The report in words."""
    lines = [f"data set {report.name}: {report.summary.line()}", *_classes(report)]
    if report.sizes is not None:
        least, median, most = (f"{width} x {height}" for width, height in report.sizes)
        lines.append(f"sizes found (width x height): least {least}, median {median}, most {most}")
    lines += [f"unreadable: {file}: {why}" for file, why in report.left_out]
    lines += [f"the same image: {first} and {second}" for first, second in report.pairs]
    fits = "fits" if report.image_bytes <= report.free_bytes else "is more than"
    free = format_quantity(report.free_bytes, "bytes")
    lines.append(f"all pixels: {format_quantity(report.image_bytes, 'bytes')}, which {fits} the {free} of free memory")
    if report.file is not None:
        lines.append(f"prepared file: {report.file} ({format_quantity(report.file_bytes, 'bytes')})")
    return [printable(line) for line in [*lines, *(f"warning: {line}" for line in report.warnings())]]


def _classes(report: DataReport) -> list[str]:
    lines = [f"  {one.name}: {one.training:,} + {one.validation:,}" for one in report.classes[:MOST_CLASS_LINES]]
    more = len(report.classes) - len(lines)
    return ["images for training + validation:", *lines, *([f"  and {more:,} more classes"] if more else [])]


def _check_sheet(sheet: Path, *, force: bool) -> None:
    if sheet.suffix.lower() != ".png":
        expected, hint = "a name that ends in .png", f"choose {sheet.with_suffix('.png')}" if sheet.name else ""
        raise InputError(repr(str(sheet)), expected=expected, where="--sheet", hint=hint)
    check_output(sheet, force=force)
