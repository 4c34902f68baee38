"""Curves as SVG: a few lines over two logarithmic axes, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 230, 40, 50
COLOURS = ("#8a8f98", "#d9480f", "#1971c2", "#2f9e44")


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: its name, and points with both coordinates above zero."""

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves over two logarithmic axes."""

    title: str
    across: str
    lines: Sequence[Line]

    def svg(self) -> str:
        """The picture as a document."""
        x = _Axis([x for line in self.lines for x, _ in line.points], LEFT, WIDTH - RIGHT)
        y = _Axis([y for line in self.lines for _, y in line.points], HEIGHT - BOTTOM, TOP)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            _text(LEFT, 22, self.title, "start", 15),
            _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, self.across, "middle"),
            *self._grid(x, y),
            *(part for n, line in enumerate(self.lines) for part in self._curve(line, x, y, COLOURS[n % len(COLOURS)])),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _grid(self, x: _Axis, y: _Axis) -> Iterator[str]:
        for value in x.ticks():
            yield _stroke([(x.at(value), TOP), (x.at(value), HEIGHT - BOTTOM)], "#e3e6ea", 1)
            yield _text(x.at(value), HEIGHT - BOTTOM + 18, _short(value), "middle")
        for value in y.ticks():
            yield _stroke([(LEFT, y.at(value)), (WIDTH - RIGHT, y.at(value))], "#e3e6ea", 1)
            yield _text(LEFT - 8, y.at(value) + 4, _short(value), "end")

    def _curve(self, line: Line, x: _Axis, y: _Axis, colour: str) -> Iterator[str]:
        points = [(x.at(a), y.at(b)) for a, b in line.points]
        yield _stroke(points, colour, 2.5)
        for across, up in points:
            yield f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3.5" fill="{colour}"/>'
        yield _text(points[-1][0] + 8, points[-1][1] + 4, line.label, "start", colour=colour)


class _Axis:
    """From values to places on a picture, by the logarithm; whole powers of ten at both ends."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(math.ceil(math.log10(max(values))), self._low + 1)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]


def _stroke(points: Sequence[tuple[float, float]], colour: str, width: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 12, colour: str = "#343a40") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(text)}</text>'
    )


def _short(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
