"""`cspnas import`: another program's network becomes an architecture file."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from cspnas.documents.architecture_file import architecture_yaml
from cspnas.documents.darknet_import import architecture_of_cfg
from cspnas.io.atomic_write import check_output, write_whole
from cspnas.network.wiring import wire
from cspnas.storage.locations import expanded


def import_network(path: Path, output: Path, *, force: bool) -> str:
    """Write the network of a Darknet file; a line that says which one it is and what comes next."""
    output = Path(expanded(str(output)))
    check_output(output, force=force, inputs=[path])
    architecture = architecture_of_cfg(path)
    digest = wire(architecture).digest()
    content = architecture_yaml(architecture, {"digest": digest, "source": path.name})
    write_whole(output, content, force=force, inputs=[path])
    return f"{output}: network {digest[:12]}; next: cspnas cost {quote(str(output))}"
