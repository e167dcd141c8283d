"""A curve of any length as few pieces of line: extremes are kept, and what is no number breaks it; pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """What is drawn of a curve.

    Attributes:
        pieces: Points that are joined, for each piece; a piece of one point stands alone.
        broken: Where values were no numbers, or infinite; the first place of several that lie close.
    """

    pieces: tuple[tuple[Point, ...], ...]
    broken: tuple[float, ...]


def simplified(points: Sequence[tuple[float, float | None]], buckets: int) -> Line:
    """A curve with at most four points for each part of its width.

    Args:
        points: Ascending by their first number. What was not measured (None) is passed over, and NaN and
            infinities end a piece.
        buckets: Into how many parts of equal width it is cut.
    """
    measured = [(at, value) for at, value in points if value is not None]
    pieces: list[list[Point]] = [[]]
    broken: list[float] = []
    for bucket in _cut(measured, buckets):
        finite = [(at, value) for at, value in bucket if math.isfinite(value)]
        wrong = [at for at, value in bucket if not math.isfinite(value)]
        if wrong:
            broken.append(wrong[0])
        # A break falls where it is, unless several fall into one part of the width.
        before = [point for point in finite if not wrong or point[0] < wrong[0]]
        pieces[-1] += _extremes(before)
        if wrong:
            pieces.append(_extremes([point for point in finite if point[0] > wrong[0]]))
            if len(wrong) > 1:
                pieces.append([])
    return Line(tuple(tuple(piece) for piece in pieces if piece), tuple(broken))


def _cut(points: list[Point], buckets: int) -> Iterator[list[Point]]:
    if len(points) <= 2 * buckets:
        yield from ([point] for point in points)
        return
    first, width = points[0][0], (points[-1][0] - points[0][0]) / buckets or 1.0
    bucket: list[Point] = []
    current = 0
    for point in points:
        index = min(buckets - 1, int((point[0] - first) / width))
        if index != current and bucket:
            yield bucket
            bucket = []
        current = index
        bucket.append(point)
    yield bucket


def _extremes(points: list[Point]) -> list[Point]:
    """First, lowest, highest and last, each once and in their order."""
    if len(points) <= 2:
        return points
    chosen = {
        0,
        min(range(len(points)), key=lambda index: points[index][1]),
        max(range(len(points)), key=lambda index: points[index][1]),
        len(points) - 1,
    }
    return [points[index] for index in sorted(chosen)]
