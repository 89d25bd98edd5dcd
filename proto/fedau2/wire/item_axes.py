"""The item axis of a tensor: along which axis the items of the catalogue lie, and how many numbers each has there."""

from collections.abc import Iterator

from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE, TensorSpec
from fedau2.wire.checks import require


def check(spec: TensorSpec, items: int) -> None:
    """Checks a tensor's item axis.

    Raises:
        ManifestError: the text says what is wrong.
    """
    axis = of(spec)
    if axis is None:
        require(not spec.item_spans, f"{spec.name}: spans without an item axis")
        return
    require(axis < len(spec.shape), f"{spec.name}: item axis {axis + 1} of {len(spec.shape)} axes")
    if spec.kind == TENSOR_KIND_TABLE:
        require(axis == 0 and not spec.item_spans, f"{spec.name}: the items of a table lie along its first axis")
    for per_item, others in spans(spec):
        require((per_item == 0) != (others == 0), f"{spec.name}: a span of {per_item} and {others} numbers")
    expected = length(spec, items)
    require(
        spec.shape[axis] == expected, f"{spec.name}: {spec.shape[axis]} numbers along the items instead of {expected}"
    )


def of(spec: TensorSpec) -> int | None:
    """Returns the axis along which the items lie, counted from 0; None: there is no such axis."""
    if spec.item_axis:
        return spec.item_axis - 1
    return 0 if spec.kind == TENSOR_KIND_TABLE else None


def resized(spec: TensorSpec, items: int) -> TensorSpec:
    """Returns the same tensor for a catalogue of another size."""
    copy = TensorSpec.FromString(spec.SerializeToString())
    if (axis := of(spec)) is not None:
        copy.shape[axis] = length(spec, items)
    return copy


def spans(spec: TensorSpec) -> Iterator[tuple[int, int]]:
    """Yields the spans of a tensor's item axis: numbers per item, or others, one of the two being 0."""
    yield from ((span.per_item, span.others) for span in spec.item_spans)
    if not spec.item_spans:
        yield 1, 0


def length(spec: TensorSpec, items: int) -> int:
    """Returns the length of a tensor's item axis for a catalogue of this size."""
    return sum(per_item * items + others for per_item, others in spans(spec))
