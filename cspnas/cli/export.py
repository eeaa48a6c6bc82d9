"""`cspnas export`: a network of a study becomes a file."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from cspnas.api.studies import open_study
from cspnas.documents.architecture_file import architecture_yaml
from cspnas.export.architecture_yaml import take_away
from cspnas.export.choice import Choice, chosen
from cspnas.io.atomic_write import check_output, write_whole
from cspnas.io.steps import steps
from cspnas.storage.locations import expanded


def export_network(study: str, wanted: Choice, output: Path, *, force: bool) -> str:
    """Write the network; a line that says which one it is and what comes next. `force` replaces a file."""
    output = Path(expanded(str(output)))
    check_output(output, force=force, inputs=[])
    with steps() as step:
        opened = open_study(study, on_step=step).opened
        network = chosen(opened, wanted)
    content = architecture_yaml(network.architecture, take_away(opened, network))
    write_whole(output, content, force=force, inputs=opened.database.files)
    number = opened.results.trials.get(network.digest)
    name = ("" if number is None else f"trial {number}, ") + f"network {network.digest[:12]}"
    accuracy = f"{100 * network.accuracy:.2f}% accuracy"
    return f"{output}: {name}, {accuracy}; next: cspnas cost {quote(str(output))}"
