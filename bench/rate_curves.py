"""Compares curves of quality over bit rate by Bjøntegaard's measure (BD-rate).

Takes points (bits per second, quality) of two ways to encode. Returns how many per cent more or fewer bits one needs for the same quality, over the range of qualities that both reach. Curves that do not overlap have no result.

The curves are monotone cubics through the points (Fritsch and Carlson, 1980), of the logarithm of the rate over the quality, as in
later revisions of the measure: a cubic polynomial through all points can swing between them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

Point = tuple[float, float]


def monotone_cubic(points: Sequence[Point]) -> Callable[[float], float]:
    """Returns the curve y(x) through at least two points with ascending x."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    steps = [(ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i]) for i in range(len(xs) - 1)]
    slopes = [steps[0]]
    for i in range(1, len(steps)):
        before, after = steps[i - 1], steps[i]
        if before * after <= 0:
            slopes.append(0.0)
            continue
        left, right = xs[i] - xs[i - 1], xs[i + 1] - xs[i]
        slopes.append((left + right) * 3 / ((2 * right + left) / before + (right + 2 * left) / after))
    slopes.append(steps[-1])

    def value(x: float) -> float:
        i = min(max(bisect_right(xs, x) - 1, 0), len(xs) - 2)
        width = xs[i + 1] - xs[i]
        t = (x - xs[i]) / width
        square, cube = t * t, t * t * t
        start, end = (2 * cube - 3 * square + 1) * ys[i], (3 * square - 2 * cube) * ys[i + 1]
        return start + end + width * ((cube - 2 * square + t) * slopes[i] + (cube - square) * slopes[i + 1])

    return value


def curve(points: Sequence[Point]) -> list[Point]:
    """Returns (quality, logarithm of the rate) by ascending quality. Of points with the same quality, the cheapest counts."""
    best: dict[float, float] = {}
    for rate, quality in points:
        best[quality] = min(best.get(quality, math.inf), math.log(rate))
    return sorted(best.items())


def bd_rate_percent(base: Sequence[Point], other: Sequence[Point]) -> float | None:
    """Returns how many per cent more bits `other` needs than `base`: negative if fewer, None if they share no quality."""
    first, second = curve(base), curve(other)
    if len(first) < 2 or len(second) < 2:
        return None
    low, high = max(first[0][0], second[0][0]), min(first[-1][0], second[-1][0])
    if high <= low:
        return None
    one, two = monotone_cubic(first), monotone_cubic(second)
    count = 1000
    places = [low + (high - low) * (i + 0.5) / count for i in range(count)]
    mean = sum(two(place) - one(place) for place in places) / count
    return (math.exp(mean) - 1) * 100
