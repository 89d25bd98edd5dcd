"""Colours as people see them, and how far two are apart: for tests of palettes."""

import itertools

import numpy as np

SIGHTS = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Machado, Oliveira and Fernandes, 2009, severity 1, on linear RGB."""


def lab(colour, sight):
    """CIE 1976 L*a*b* of a colour like `#2b6cb0`, as it is seen."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(SIGHTS[sight]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    parts = xyz / [0.9505, 1.0, 1.089]
    x, y, z = np.where(parts > (6 / 29) ** 3, np.cbrt(parts), parts * (29 / 6) ** 2 / 3 + 4 / 29)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def ciede2000(one, other):
    """Distance of two colours in L*a*b* (Sharma, Wu and Dalal, 2005, doi 10.1002/col.20070)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    greyness = (1 - _saturation((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)) / 2
    a1, a2 = a1 * (1 + greyness), a2 * (1 + greyness)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    light, chroma, hue = (l1 + l2) / 2, (c1 + c2) / 2, h1 + turn / 2 if c1 * c2 else h1 + h2
    t = 1 + sum(
        share * np.cos(np.radians(times * hue + shift))
        for share, times, shift in ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.2, 4, -63))
    )
    l_part = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    c_part = (c2 - c1) / (1 + 0.045 * chroma)
    h_part = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2) / (1 + 0.015 * chroma * t)
    rotation = 2 * _saturation(chroma) * np.sin(np.radians(60 * np.exp(-(((hue % 360 - 275) / 25) ** 2))))
    return float(np.sqrt(l_part**2 + c_part**2 + h_part**2 - rotation * c_part * h_part))


def _saturation(chroma):
    return np.sqrt(chroma**7 / (chroma**7 + 25**7))


def distance(one, other, sight):
    """CIEDE2000 distance of two colours like `#2b6cb0`, as they are seen."""
    return ciede2000(lab(one, sight), lab(other, sight))


def closest(colours, sight):
    """The smallest distance of any two colours, as they are seen."""
    return min(distance(one, other, sight) for one, other in itertools.combinations(colours, 2))
