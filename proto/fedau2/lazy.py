"""Public names of a package that are imported when they are first used."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def exports(
    package: str, modules: Mapping[str, str], names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Makes a package's `__getattr__` and `__dir__` (PEP 562), so that importing the package loads no other module.

    Args:
        package: `__name__` of the package.
        modules: for every name that is imported on first use, the module below the package that defines it.
        names: all public names, as `dir` lists them.
    """

    def attribute(name: str) -> Any:  # noqa: ANN401 - a class or a function
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return attribute, lambda: list(names)
