"""Compiles the library: one file for each variant, and one that says which variant a processor can run."""

import os
import platform
import shlex
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).parent / "src"

VARIANTS: dict[str, tuple[str, ...]] = (
    {f"v{level}": (f"-march=x86-64-v{level}", f"-DVECTOR_BYTES={2**level * 4}") for level in (4, 3, 2)}
    if platform.machine().lower() in ("x86_64", "amd64")
    else {"any": ("-DVECTOR_BYTES=16",)}
)
"""The compiler's options for each variant of this machine's architecture."""

_OPTIONS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math")
_WARNINGS = ("-Wall", "-Wextra")
_EXACT = ("draws.cpp", "fold.cpp", "rounding.cpp", "server_adam.cpp")
"""Sources whose numbers are specified to the bit, so that products and sums must not be fused."""


def build(folder: Path, variants: Iterable[str] = VARIANTS, options: Iterable[str] = ()) -> None:
    """Compiles variants into a folder, by the compiler that the variable CXX names; otherwise by `c++`.

    Raises:
        OSError: there is no such compiler.
        subprocess.CalledProcessError: the compiler failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [*shlex.split(os.environ.get("CXX", "c++")), *_OPTIONS, *_WARNINGS, *options]
    _run([*command, "-shared", SOURCES / "processor.cpp", "-o", folder / "libprocessor.so"])
    for variant in variants:
        _variant([*command, *VARIANTS[variant]], folder / f"libfedau2-{variant}.so")


def _variant(command: list[str], library: Path) -> None:
    sources = sorted(path for path in SOURCES.glob("*.cpp") if path.name != "processor.cpp")
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor() as pool:
        objects = [Path(name) / f"{source.stem}.o" for source in sources]
        commands = [
            [*command, "-ffp-contract=off" if source.name in _EXACT else "-ffp-contract=fast", "-c", source, "-o", file]
            for source, file in zip(sources, objects, strict=True)
        ]
        list(pool.map(_run, commands))
        _run([*command, "-shared", *objects, "-o", library])


def _run(command: Iterable[str | Path]) -> None:
    subprocess.run(list(command), check=True)
