"""Looking into exported graphs."""


def nodes(graph):
    """Its nodes and those of the graphs within it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from nodes(attribute.g)
