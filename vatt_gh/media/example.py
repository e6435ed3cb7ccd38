"""Serialized tf.train.Examples, read where they lie: nothing is copied but what is asked for.

A record of half a minute has ten megabytes, of which a window needs one.
"""

from collections.abc import Container, Iterator

Record = bytes | memoryview
Span = tuple[int, int]  # from where to where in a record


def features(record: Record) -> dict[str, Span]:
    """Where the features lie.

    Args:
        record: a serialized tf.train.Example, or tf.train.SequenceExample, of which the context is
            meant.

    Returns:
        By name a tf.train.Feature, for `byte_values` and `integers`.

    Raises:
        ValueError: it is no such message.
    """
    return {key: feature for key, feature, _ in _pairs(record)}


def byte_values(record: Record, feature: Span) -> Iterator[Span]:
    """Where the values of a feature of bytes lie, in order; none if it has others.

    Raises:
        ValueError: it is no such message.
    """
    for values in _messages(record, feature, 1):
        yield from _messages(record, values, 1)


def integers(record: Record, feature: Span) -> tuple[int, ...]:
    """The values of a feature of int64; packed, as they should be, or not.

    Raises:
        ValueError: it is no such message.
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
    """An Example with some of its features taken from another one.

    Args:
        record: serialized.
        other: serialized.
        names: of the features that are taken from `other`.

    Returns:
        The new one, serialized.

    Raises:
        ValueError: one of both is no such message.
    """
    pairs = [record[slice(*pair)] for name, _, pair in _pairs(record) if name not in names]
    pairs += [other[slice(*pair)] for name, _, pair in _pairs(other) if name in names]
    return _first_field(b"".join(map(_first_field, pairs)))


def _pairs(record: Record) -> Iterator[tuple[str, Span, Span]]:
    """Name, Feature and the pair of both."""
    # Field 1 of both messages is a tf.train.Features, whose field 1 are pairs of key and Feature.
    for found in _messages(record, (0, len(record)), 1):
        for pair in _messages(record, found, 1):
            name, feature = b"", (pair[1], pair[1])
            for number, value in _fields(record, pair):
                if number == 1 and not isinstance(value, int):
                    name = bytes(record[slice(*value)])
                elif number == 2 and not isinstance(value, int):
                    feature = value
            yield name.decode(), feature, pair


def _messages(record: Record, span: Span, wanted: int) -> Iterator[Span]:
    """From where to where the fields of this number are, of those that have a length."""
    for number, value in _fields(record, span):
        if number == wanted and not isinstance(value, int):
            yield value


def _fields(record: Record, span: Span) -> Iterator[tuple[int, int | Span]]:
    """Number and value of the fields of a protobuf message: an integer, or from where to where."""
    position, end = span
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
    """An unsigned integer of up to 64 bits, and the position behind it."""
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
    """A message as field 1 of another one."""
    length, rest = bytearray(), len(message)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return b"\x0a" + bytes(length) + bytes([rest]) + message
