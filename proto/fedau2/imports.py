"""Explanations of a package that a command needs and that is missing or broken."""

import sys
import traceback
from collections.abc import Mapping
from importlib import util

_BESIDE: Mapping[str, str] = {
    "connectrpc": "web",
    "dp_accounting": "privacy",
    "jinja2": "web",
    "mlflow": "mlflow",
    "opentelemetry": "otel",
    "psutil": "background",
    "psycopg": "postgres",
    "starlette": "web",
    "tensorboard": "tensorboard",
    "uvicorn": "web",
    "wandb": "wandb",
}
"""The extra that brings a package, for the packages that no command always needs."""

_ALWAYS = {("jinja2", "simulator")}
"""Packages of `_BESIDE` that one command always needs, with that command's extra, which brings them."""

_OURS = ("fedau2", "client_sdk", "coordinator", "export", "simulator", "unmasker", "__main__")
_LONGEST = 200
"""Most characters of an error's text that are shown."""


def extra_of(package: str, extra: str) -> str:
    """Names the extra that brings a package.

    Args:
        package: the package's name in Python, for example `sklearn`.
        extra: the extra that brings all that the command always needs.
    """
    return extra if (package, extra) in _ALWAYS else _BESIDE.get(package, extra)


def explain(error: BaseException, extra: str) -> str | None:
    """Says in a line why a package cannot be imported, and what helps.

    Args:
        error: the exception.
        extra: the extra that brings all that the command always needs.

    Returns:
        The line; None if the error was not raised by an import.
    """
    while error.__cause__ is not None and isinstance(error, ImportError):
        error = error.__cause__
    package = _package(error)
    if package is None:
        return None
    if package in sys.stdlib_module_names:
        return f"this Python has no working module {package}, which belongs to Python and to no package: {_text(error)}"
    if isinstance(error, ModuleNotFoundError) and not _installed(package, error.name or package):
        return f"{package} is not installed: it needs pip install 'fedau2[{extra_of(package, extra)}]'"
    if isinstance(error, OSError) and error.errno is not None:  # of the disk, and not of the package
        return f"{package} cannot be imported: {_text(error)}"
    return (
        f"{package} is installed but cannot be imported ({_text(error)}): it is damaged, or does not fit the other "
        f"packages; pip install --force-reinstall {_distribution(package)}"
    )


def _package(error: BaseException) -> str | None:
    """Names the package that an import error is about, or the outermost one that was being imported when it arose."""
    if isinstance(error, ImportError) and error.name:
        return error.name.partition(".")[0]
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    running = (frame.f_globals.get("__name__", "") for frame in frames if frame.f_code.co_name == "<module>")
    return next((name for name in (name.partition(".")[0] for name in running) if name not in _OURS), None)


def _installed(package: str, missing: str) -> bool:
    """Returns whether a package is there; one that several distributions share is not where a part of it is missing."""
    try:
        spec = util.find_spec(package)
        return spec is not None and (spec.origin is not None or missing == package)
    except (ImportError, ValueError):
        return False


def _distribution(package: str) -> str:
    from importlib import metadata  # takes as long to load as a small command runs

    return metadata.packages_distributions().get(package, [package])[0]


def _text(error: BaseException) -> str:
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return text if isinstance(error, (ImportError, OSError)) else f"{type(error).__name__}: {text}"
