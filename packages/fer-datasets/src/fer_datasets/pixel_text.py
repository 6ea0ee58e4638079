"""Vectorised parsing of grey values in decimal text, for fast reading of `fer2013.csv`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 48
"""Height and width of a face in pixels."""
VALUES = SIDE * SIDE

_BLANK = 32


def parse_pixels(text: bytes, spans: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Parse the pixel cells of some rows together, without a loop over their numbers.

    Args:
        text: Bytes of the file that contain all of the cells.
        spans: int64 [rows, 2], first byte in `text` and length of each cell, in order.

    Returns:
        Values uint8 [rows, 2304], and bool [rows], true where a cell does not contain 2,304 numbers in 0..255
        (its values are then 0).
    """
    values, counts = _parse(_isolate(text, spans), spans)
    if values is not None and (counts == VALUES).all():
        return values.reshape(-1, VALUES), np.zeros(len(spans), dtype=bool)
    # Something is unusual: parse each cell separately, so that a damaged cell does not affect its neighbours.
    rows = [_parse_cell(text[start : start + length]) for start, length in spans.tolist()]
    blank = np.zeros(VALUES, dtype=np.uint8)
    return np.stack([blank if row is None else row for row in rows]), np.array([row is None for row in rows])


def _isolate(text: bytes, spans: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The text with blanks instead of everything outside the cells, with three leading blanks and one trailing."""
    buffer = np.full(len(text) + 4, _BLANK, dtype=np.uint8)
    buffer[3:-1] = np.frombuffer(text, dtype=np.uint8)
    end = 0
    for start, length in spans.tolist():
        buffer[3 + end : 3 + start] = _BLANK
        end = start + length
    buffer[3 + end :] = _BLANK
    return buffer


def _parse(
    buffer: NDArray[np.uint8], spans: NDArray[np.int64]
) -> tuple[NDArray[np.uint8] | None, NDArray[np.int64]]:
    """All numbers of a buffer and their count in each span; None if one is not a number in 0..255.

    At each byte the number that ends there is the digit, ten times the one before, a hundred times the one before
    that, as far as they are digits without a gap; only places where a number does end are kept.
    """
    digits = buffer - np.uint8(48)
    is_digit = digits <= 9
    if np.count_nonzero(is_digit) + np.count_nonzero(buffer == _BLANK) != len(buffer):
        return None, np.zeros(0, dtype=np.int64)
    digits *= is_digit.view(np.uint8)
    three = is_digit[:-2] & is_digit[1:-1]
    three &= is_digit[2:]
    hundreds = digits[:-2] * three.view(np.uint8)
    units = digits[1:-1] * np.uint8(10)
    units += digits[2:]
    values = hundreds * np.uint8(100)
    values += units
    four = three[1:] & is_digit[:-3]
    if hundreds.max(initial=0) > 2 or (values < units).any() or four.any():  # the last two exceed a byte
        return None, np.zeros(0, dtype=np.int64)
    ends = np.flatnonzero(is_digit[2:-1] > is_digit[3:])  # and take: a boolean index is four times slower
    edges = np.searchsorted(ends, np.stack([spans[:, 0], spans.sum(axis=1)], axis=1) + 1)
    return values.take(ends), edges[:, 1] - edges[:, 0]


def _parse_cell(cell: bytes) -> NDArray[np.uint8] | None:
    try:
        values = bytearray(map(int, cell.split()))
    except ValueError:
        return None
    return np.frombuffer(values, dtype=np.uint8) if len(values) == VALUES else None
