"""Fragments of settings: nested mappings that are laid over each other, and the same with dotted paths as keys.

A fragment says some settings and leaves the others out: `{"local": {"steps": 2}}`, or, with a dotted path,
`{"local.steps": 2}`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Fragment = Mapping[str, Any]


def nest(settings: Fragment) -> dict[str, Any]:
    """Returns the nested form of a fragment, in which no key is a dotted path.

    >>> nest({"local.steps": 2, "local": {"chunk": 8}})
    {'local': {'steps': 2, 'chunk': 8}}
    """
    nested: dict[str, Any] = {}
    for path, value in settings.items():
        first, _, rest = str(path).partition(".")
        if rest:
            value = {rest: value}
        nested = merge(nested, {first: nest(value) if isinstance(value, Mapping) else value})
    return nested


def merge(below: Fragment, above: Fragment) -> dict[str, Any]:
    """Lays a nested fragment over another; a list replaces a list.

    >>> merge({"local": {"steps": 1, "chunk": 8}}, {"local": {"steps": 2}})
    {'local': {'steps': 2, 'chunk': 8}}
    """
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        merged[key] = merge(lower, value) if isinstance(lower, Mapping) and isinstance(value, Mapping) else value
    return merged


def flat(settings: Fragment, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields dotted path and value of every setting; an empty mapping has none.

    >>> list(flat({"local": {"steps": 2}}))
    [('local.steps', 2)]
    """
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
