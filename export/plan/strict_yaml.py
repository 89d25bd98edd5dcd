"""YAML documents that people write: what a reader would silently lose or expand is refused."""

from typing import Any

import yaml

from export.errors import PlanError


class _Loader(yaml.SafeLoader):
    """Refuses keys that stand twice in a mapping, and aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - as PyYAML's own
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*NAME) is not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ANN401 - as PyYAML's own
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(f"the key {repeated[0]!r} stands twice in a mapping (line {node.start_mark.line + 1})")
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:  # noqa: ANN401 - a document may be anything
    """Reads a document.

    Raises:
        PlanError: it is not YAML, or has a key twice or an alias; the text is one line.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise PlanError(f"not YAML: {reason}") from error
