"""Line charts as SVG, without a library."""

import math
from collections.abc import Mapping, Sequence
from xml.sax import saxutils

_WIDTH, _HEIGHT, _LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 860, 420, 60, 20, 430, 340
_COLORS = ("#0b6e99", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be123c")
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
    ' font-family="sans-serif" font-size="13">'
)

Series = Mapping[str, Sequence[tuple[float, float]]]


def lines(series: Series, *, x: str, y: str) -> str:
    """Return a chart of these points: x logarithmic, y from zero."""
    all_x = sorted({point[0] for points in series.values() for point in points})
    top = _round_up(max(point[1] for points in series.values() for point in points))
    low, high = math.log10(all_x[0]), math.log10(all_x[-1])

    def at(point: tuple[float, float]) -> tuple[float, float]:
        share = (math.log10(point[0]) - low) / ((high - low) or 1)
        return (
            round(_LEFT + share * _PLOT_WIDTH, 1),
            round(_TOP + _PLOT_HEIGHT * (1 - point[1] / top), 1),
        )

    parts = [
        _HEAD.format(width=_WIDTH, height=_HEIGHT),
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for step in range(5):
        value = top * step / 4
        _, height = at((all_x[0], value))
        end = _LEFT + _PLOT_WIDTH
        parts.append(f'<path d="M{_LEFT} {height}H{end}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 8, height + 4, f"{value:g}", anchor="end"))
    for value in all_x:
        place, _ = at((value, 0))
        parts.append(_text(place, _TOP + _PLOT_HEIGHT + 18, f"{value:g}", anchor="middle"))
    parts.append(_text(_LEFT + _PLOT_WIDTH / 2, _HEIGHT - 18, x, anchor="middle"))
    parts.append(_text(_LEFT + 6, _TOP + 4, y, anchor="start"))
    for number, (name, points) in enumerate(series.items()):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join(f"{left},{height}" for left, height in map(at, points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{left}" cy="{height}" r="3" fill="{color}"/>'
            for left, height in map(at, points)
        ]
        legend = _LEFT + _PLOT_WIDTH + 20, _TOP + 20 + 22 * number
        parts.append(_text(*legend, name, anchor="start", color=color))
    return "\n".join([*parts, "</svg>\n"])


def _round_up(value: float) -> float:
    """Return the next value of a scale that can be halved twice."""
    unit: float = 10 ** math.floor(math.log10(value))
    return next(unit * step for step in (1, 2, 4, 8, 10, 20) if unit * step >= value)


def _text(left: float, height: float, text: str, *, anchor: str, color: str = "#333") -> str:
    return (
        f'<text x="{left}" y="{height}" text-anchor="{anchor}" fill="{color}">'
        f"{saxutils.escape(text)}</text>"
    )
