"""What `--help` shows at the end of each command: lines that a user can type as they stand."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "search": (
        "cspnas search densenet --trials 30",
        "cspnas search densenet --dataset folder:images --set proxy.epochs=10",
    ),
    "front": (
        "cspnas front densenet",
        "cspnas front densenet --plot front.html",
    ),
    "export": (
        "cspnas export densenet --pick knee -o best.yaml",
        "cspnas export densenet --where 'flops<=20M' --pick most-accurate -o best.yaml",
        "cspnas export best.yaml --format onnx --weights best.safetensors -o best.onnx",
    ),
    "cost": (
        "cspnas cost csdarknet53 --layers",
        "cspnas cost best.yaml --check",
    ),
    "import": (
        "cspnas import csresnext50.cfg -o csresnext50.yaml",
        "cspnas import darknet53.cfg -o darknet53.yaml --force",
    ),
    "space": (
        "cspnas space densenet",
        "cspnas space densenet --copy",
    ),
    "data": (
        "cspnas data images --image-size 96",
        "cspnas data fashion-mnist-mini --sheet sheet.png",
    ),
    "train": (
        "cspnas train best.yaml --epochs 20",
        "cspnas train best.yaml --seed 1 -o best-seed1.safetensors",
    ),
    "studies": (
        "cspnas studies",
        "cspnas studies copy densenet backup.db",
    ),
    "studies copy": (
        "cspnas studies copy densenet backup.db",
        "cspnas studies copy densenet 'postgresql+psycopg://USER@HOST/DB#densenet'",
    ),
    "dashboard": (
        "cspnas dashboard densenet",
        "cspnas dashboard densenet --port 8081",
    ),
    "": (
        "cspnas search densenet",
        "cspnas front densenet",
        "cspnas export densenet -o best.yaml",
    ),
}


def epilog(command: str) -> str:
    """The block of examples of a command; the empty name is `cspnas` itself. Paragraphs, for typer joins single lines."""
    lines = EXAMPLES[command]
    return "\n\n".join([f"Example{'s' * (len(lines) > 1)}:", *lines])
