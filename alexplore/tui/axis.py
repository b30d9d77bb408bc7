"""The axis of a plot: the place of a value on it, and the values at its ticks. It takes any finite number."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

DIGITS = (1, 2, 5, 10)  # a step between two ticks is one of these times a power of ten
FLAT = 0.1  # if all values are equal: distance to the ends of the axis, as a share of the value
FLAT_SHARE = 0.01  # the same for shares of the images
NARROWEST, NARROWEST_LOG = 1e-13, 1e-9  # relative, and in decades: a narrower range counts as one value
LARGEST, SMALLEST = sys.float_info.max, 5e-324  # the largest float, and the smallest above 0
MOST_DECIMALS = 15
PLAIN = (1e-3, 1e6)  # numbers have no exponent if the largest is between these


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`. A logarithmic one starts above 0; `percent` writes shares as per cent."""

    low: float
    high: float
    logarithmic: bool = False
    percent: bool = False

    def share(self, value: float) -> float:
        """Return the place of a value on the axis: 0 at the low end, 1 at the high end."""
        low, value, high = (self._scaled(number) for number in (self.low, value, self.high))
        return (value - low) / (high - low)

    def value(self, share: float) -> float:
        """Return the value at a place between 0 and 1; the inverse of `share`."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        scaled = low * (1 - share) + high * share
        return float(10**scaled) if self.logarithmic else scaled * 2

    def _scaled(self, value: float) -> float:
        """Return half of a number, so that all differences are finite; on a logarithmic axis its logarithm."""
        return math.log10(value) if self.logarithmic else value / 2

    def ticks(self, most: int) -> list[float]:
        """Return about `most` round values in rising order; the ends of the axis if there are no round values."""
        if most < 2:
            return []
        if self.logarithmic:
            for digits, decades in ((DIGITS[:3], 1), ((1,), 1), ((1,), 2), ((1,), 5), ((1,), 10), ((1,), 50)):
                found = self._powers(digits, decades)
                if 3 <= len(found) <= most or (decades > 1 and 2 <= len(found) <= most):
                    return found
            found = [value for value in self._round_values(most) if value > 0]
            return found if len(found) > 1 else [self.low, self.high]
        return self._round_values(most)

    def _powers(self, digits: Sequence[int], decades: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        exponents = [exponent for exponent in range(first, last + 1) if exponent % decades == 0]
        values = (float(f"{digit}e{exponent}") for exponent in exponents for digit in digits)
        return [value for value in values if self.low <= value <= self.high]

    def _round_values(self, most: int) -> list[float]:
        """Return the multiples of a round step on the axis: at most `most`, and at least two."""
        half = self.high / 2 - self.low / 2
        exponent = math.floor(math.log10(half) + math.log10(2 / most)) if half > 0 else 0
        finer: list[float] = []
        for digit in (*DIGITS, 20, 50, 100):
            step = digit * float(f"1e{exponent}")
            if not (0 < step < math.inf and math.isfinite(self.low / step) and math.isfinite(self.high / step)):
                break
            first, last = math.ceil(self.low / step), math.floor(self.high / step)
            if last - first < most:
                return [number * step for number in range(first, last + 1)] if last > first else finer
            finer = [number * step for number in range(first, last + 1)]
        return [self.low, self.high]

    def labels(self, ticks: Sequence[float]) -> list[str]:
        """Return the texts of the ticks, with as many digits as make neighbours differ."""
        if not ticks:
            return []
        factor = 100 if self.percent and math.isfinite(100 * max(map(abs, ticks))) else 1
        values = [factor * tick for tick in ticks]
        if self.logarithmic:
            return [f"{value:.3g}" + "%" * (factor == 100) for value in values]
        largest = max(map(abs, values))
        step = min((after / 2 - before / 2 for before, after in pairwise(values)), default=0) * 2
        place = math.floor(math.log10(step or largest or 1) + 1e-9)  # of the last digit that is needed
        if largest and not PLAIN[0] <= largest < PLAIN[1]:
            digits = min(MOST_DECIMALS, max(0, math.floor(math.log10(largest)) - place))
            return [f"{value:.{digits}e}" if value else "0" for value in values]
        decimals = min(MOST_DECIMALS, max(0, -place))
        return [f"{value:,.{decimals}f}" + "%" * (factor == 100) for value in values]


def fitted_axis(values: Sequence[float], *, logarithmic: bool = False, percent: bool = False) -> Axis:
    """Return the axis from the lowest to the highest of some finite values, a little longer if all are equal.

    Args:
        values: What is drawn; above 0 for a logarithmic axis. Without any, the axis goes from 0 to 1, or 0.1 to 1.
        logarithmic: Whether equal factors have equal distances.
        percent: Whether the values are shares.
    """
    if not values:
        return Axis(0.1 if logarithmic else 0.0, 1.0, logarithmic, percent)
    low, high = min(values), max(values)
    if logarithmic:
        wide = math.log10(high) - math.log10(low) > NARROWEST_LOG
        ends = (low, high) if wide else (max(SMALLEST, low / 2), min(LARGEST, high * 2))
    elif high / 2 - low / 2 > abs(high) * NARROWEST:
        ends = low, high
    else:
        distance = FLAT_SHARE if percent and abs(low) <= 1 else abs(low) * FLAT or FLAT_SHARE
        ends = max(-LARGEST, low - distance), min(LARGEST, high + distance)
    return Axis(*ends, logarithmic, percent)
