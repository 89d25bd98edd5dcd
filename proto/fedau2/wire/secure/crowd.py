"""The crowd of devices that share a row of a sum, in which one of them is to be lost.

Rows of a table that one device alone touched are all multiples of that device's vector, so an exact sum shows the
vector. The crowd is lambda = n k / m, for n devices that touch k of m rows each.
"""

import math

LEAST = 20.0
"""Smallest lambda with which every row may be opened."""


def crowd(devices: int, touched: float, rows: int) -> float:
    """Returns lambda, the mean number of devices that touch a row.

    Args:
        devices: contributions of a sum.
        touched: rows that a device touches, on average.
        rows: rows of the catalogue.
    """
    return devices * touched / rows


def alone(crowd: float, rows: int) -> float:
    """Returns how many rows one device alone touches, where all rows are equally likely."""
    return rows * crowd * math.exp(-crowd)


def closed(crowd: float, threshold: int) -> float:
    """Returns the share of the rows that fewer than `threshold` devices touch, where all rows are equally likely."""
    terms = (count * math.log(crowd) - crowd - math.lgamma(count + 1) for count in range(threshold))
    return min(1.0, math.fsum(map(math.exp, terms))) if crowd > 0 else float(threshold > 0)


def devices_for(touched: float, rows: int) -> int:
    """Returns the fewest devices of a sum in which every row may be opened."""
    return math.ceil(LEAST * rows / touched)
