"""Reads serialized tf.train.Examples in place; copies only what is asked for.

A record of half a minute has 10 MB; a window needs 1 MB of it.
"""

from collections.abc import Container, Iterator

Record = bytes | memoryview
Extent = tuple[int, int]  # start and end in a record


def features(record: Record) -> dict[str, Extent]:
    """Finds the features of an Example.

    Args:
        record: a serialized tf.train.Example, or tf.train.SequenceExample (its context is read).

    Returns:
        {name: tf.train.Feature}, for `byte_values` and `integers`.

    Raises:
        ValueError: the record is no such message.
    """
    return {key: feature for key, feature, _ in _pairs(record)}


def byte_values(record: Record, feature: Extent) -> Iterator[Extent]:
    """Yields the extents of the values of a bytes feature, in order; none if it has another type.

    Raises:
        ValueError: the record is no such message.
    """
    for values in _messages(record, feature, 1):
        yield from _messages(record, values, 1)


def integers(record: Record, feature: Extent) -> tuple[int, ...]:
    """Reads the values of an int64 feature, packed (as they should be) or not.

    Raises:
        ValueError: the record is no such message.
    """
    found = []
    for values in _messages(record, feature, 3):
        for number, value in _fields(record, values):
            if number == 1 and isinstance(value, int):
                found.append(value)
            elif number == 1:
                position, end = value
                while position < end:
                    integer, position = _varint(record, position, end)
                    found.append(integer)
    return tuple(found)


def exchanged(record: bytes, other: bytes, names: Container[str]) -> bytes:
    """Replaces some features of an Example by those of another one.

    Args:
        record: the serialized Example.
        other: the other Example, serialized.
        names: features to take from `other`.

    Returns:
        The new Example, serialized.

    Raises:
        ValueError: one of the two is no such message.
    """
    pairs = [record[slice(*pair)] for name, _, pair in _pairs(record) if name not in names]
    pairs += [other[slice(*pair)] for name, _, pair in _pairs(other) if name in names]
    return _first_field(b"".join(map(_first_field, pairs)))


def _pairs(record: Record) -> Iterator[tuple[str, Extent, Extent]]:
    """Yields name, Feature, and the pair of both."""
    # Field 1 of both messages is a tf.train.Features; its field 1 holds (key, Feature) pairs.
    for found in _messages(record, (0, len(record)), 1):
        for pair in _messages(record, found, 1):
            name, feature = b"", (pair[1], pair[1])
            for number, value in _fields(record, pair):
                if number == 1 and not isinstance(value, int):
                    name = bytes(record[slice(*value)])
                elif number == 2 and not isinstance(value, int):
                    feature = value
            yield name.decode(), feature, pair


def _messages(record: Record, extent: Extent, wanted: int) -> Iterator[Extent]:
    """Yields the extents of the length-delimited fields with this number."""
    for number, value in _fields(record, extent):
        if number == wanted and not isinstance(value, int):
            yield value


def _fields(record: Record, extent: Extent) -> Iterator[tuple[int, int | Extent]]:
    """Yields number and value of the fields of a protobuf message: an integer or an extent."""
    position, end = extent
    while position < end:
        tag, position = _varint(record, position, end)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = _varint(record, position, end)
            yield number, value
            continue
        if kind == 2:
            length, position = _varint(record, position, end)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"protobuf has no wire type {kind}")
        if position + length > end:
            raise ValueError("a field is longer than its message")
        yield number, (position, position + length)
        position += length


def _varint(record: Record, position: int, end: int) -> tuple[int, int]:
    """Reads an unsigned integer of up to 64 bits; returns it and the position after it."""
    value = shift = 0
    while position < end and shift < 70:
        byte = record[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("an integer does not end")


def _first_field(message: bytes) -> bytes:
    """Wraps a message as field 1 of another one."""
    length, rest = bytearray(), len(message)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return b"\x0a" + bytes(length) + bytes([rest]) + message
