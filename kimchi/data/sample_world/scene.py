"""The stage of the sample world: palette, pen, backgrounds, and the renderer.

Every drawing is SVG in a local box of 100 x 100 units centred on (0, 0), y down; things that stand on the ground touch
y = +42. The scene places the box, so a drawing never knows where it is, how many there are, or what time it is.
"""

import colorsys
import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import resvg_py
from PIL import Image

SIZE_PX = 128
"""Side of a rendered picture, pixels."""

COLOURS: dict[str, str] = {
    "red": "#d8322f",
    "yellow": "#f3c32c",
    "green": "#3f9b4b",
    "blue": "#2f6fd0",
    "purple": "#8549b5",
    "pink": "#f08bb4",
    "white": "#f4f1ea",
    "black": "#2d2d33",
}
"""The colours a caption may name, as sRGB."""

TABLE_PLACES = ("wooden_table", "white_tablecloth", "stone_slab")
OUTDOOR_PLACES = ("green_field", "seaside", "city", "mountains")
TIMES = ("day", "sunset", "night")
SIDES = ("left", "centre", "right")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What is true of one picture beside its concept."""

    colour: str | None
    """A key of COLOURS, or None for a thing that has one look."""
    place: str
    """A key of TABLE_PLACES or OUTDOOR_PLACES."""
    time: str
    """A key of TIMES."""
    number: int
    """How many are drawn: 1 or 2."""
    side: str
    """Where a single one stands, a key of SIDES; 'centre' whenever number is 2."""


@dataclass(slots=True)
class Pen:
    """What a drawing function is handed: a colour, a seeded random source, and a few shapes."""

    rng: random.Random
    colour: str
    """The main colour, "#rrggbb", already jittered."""
    defs: list[str] = field(default_factory=list)
    prefix: str = "g"

    def vary(self, low: float, high: float) -> float:
        """A uniform number, rounded so that the SVG stays short."""
        return round(self.rng.uniform(low, high), 2)

    def shade(self, colour: str, factor: float) -> str:
        """The colour made darker (factor < 1) or lighter (factor > 1)."""
        return shade(colour, factor)

    def gradient(self, *stops: tuple[float, str], radial: bool = False, across: bool = False) -> str:
        """Add a gradient of (offset 0..1, colour) stops; the answer goes into fill="...". Linear runs top to bottom unless across."""
        name = f"{self.prefix}{len(self.defs)}"
        body = "".join(f'<stop offset="{offset}" stop-color="{colour}"/>' for offset, colour in stops)
        if radial:
            self.defs.append(f'<radialGradient id="{name}">{body}</radialGradient>')
        else:
            end = 'x2="1" y2="0"' if across else 'x2="0" y2="1"'
            self.defs.append(f'<linearGradient id="{name}" x1="0" y1="0" {end}>{body}</linearGradient>')
        return f"url(#{name})"

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: str, stroke: str = "none", width: float = 0, rotate: float = 0) -> str:
        """Centre, radii, and degrees clockwise about the centre."""
        turn = f' transform="rotate({rotate} {x} {y})"' if rotate else ""
        return f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{fill}" stroke="{stroke}" stroke-width="{width}"{turn}/>'

    def rect(self, x: float, y: float, w: float, h: float, fill: str, stroke: str = "none", width: float = 0, radius: float = 0, rotate: float = 0) -> str:
        """Upper left corner, size, radius of the corners, and degrees clockwise about the centre."""
        turn = f' transform="rotate({rotate} {x + w / 2} {y + h / 2})"' if rotate else ""
        return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="{width}"{turn}/>'

    def path(self, d: str, fill: str = "none", stroke: str = "none", width: float = 0) -> str:
        """An SVG path; a line with round ends and joints when it has a stroke and no fill."""
        return f'<path d="{d}" fill="{fill}" stroke="{stroke}" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round"/>'

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str, width: float) -> str:
        """From (x1, y1) to (x2, y2), with round ends."""
        return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{stroke}" stroke-width="{width}" stroke-linecap="round"/>'

    def polygon(self, points: list[tuple[float, float]], fill: str, stroke: str = "none", width: float = 0) -> str:
        """A closed shape through the points, with round joints."""
        body = " ".join(f"{x},{y}" for x, y in points)
        return f'<polygon points="{body}" fill="{fill}" stroke="{stroke}" stroke-width="{width}" stroke-linejoin="round"/>'


Drawing = Callable[[Pen], str]


def shade(colour: str, factor: float) -> str:
    """Scale the lightness of "#rrggbb"; > 1 moves towards white, so that black can be lightened too."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    light = light * factor if factor <= 1 else 1 - (1 - light) / factor
    return "#" + "".join(f"{round(255 * c):02x}" for c in colorsys.hls_to_rgb(hue, min(1, light), saturation))


def jitter(colour: str, rng: random.Random, amount: float = 0.03) -> str:
    """A near neighbour of the colour: still the colour that its name says."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    values = (min(1.0, max(0.0, c + rng.uniform(-amount, amount))) for c in (red, green, blue))
    return "#" + "".join(f"{round(255 * c):02x}" for c in values)


def _table(place: str, time: str, rng: random.Random) -> str:
    wall = {"day": "#e9e2d0", "sunset": "#f0a868", "night": "#33406b"}[time]
    dim = {"day": 1.0, "sunset": 0.93, "night": 0.72}[time]
    top = round(rng.uniform(34, 42), 1)
    window = {"day": "#bfe3f7", "sunset": "#f46b45", "night": "#141b3a"}[time]
    x = round(rng.uniform(10, 96), 1)
    body = f'<rect width="128" height="128" fill="{jitter(wall, rng)}"/>'
    body += f'<rect x="{x}" y="-4" width="26" height="28" fill="{window}" stroke="{shade(wall, 0.7)}" stroke-width="2"/>'
    if time == "night":
        body += f'<circle cx="{x + 16}" cy="9" r="4" fill="#f6f0c4"/>'
    if place == "wooden_table":
        base = shade(jitter("#b07a45", rng), dim)
        body += f'<rect y="{top}" width="128" height="{128 - top}" fill="{base}"/>'
        for i in range(1, 5):
            y = top + i * (128 - top) / 5
            body += f'<line x1="0" y1="{y:.1f}" x2="128" y2="{y:.1f}" stroke="{shade(base, 0.82)}" stroke-width="1.6"/>'
    elif place == "white_tablecloth":
        base = shade(jitter("#f3f1ec", rng, 0.01), dim)
        body += f'<rect y="{top}" width="128" height="{128 - top}" fill="{base}"/>'
        edge = shade(base, 0.88)
        for i in range(9):
            body += f'<line x1="{i * 16}" y1="{top}" x2="{(i - 4) * 26 + 64}" y2="128" stroke="{edge}" stroke-width="1"/>'
    else:
        base = shade(jitter("#8d949b", rng), dim)
        body += f'<rect y="{top}" width="128" height="{128 - top}" fill="{base}"/>'
        for i in range(3):
            y = top + 4 + i * (124 - top) / 3
            for j in range(4):
                tone = shade(base, 1.12 if (i + j) % 2 else 1.02)
                body += f'<rect x="{j * 40 - 20 * (i % 2) - 12}" y="{y:.1f}" width="37" height="{(118 - top) / 3:.1f}" rx="3" fill="{tone}"/>'
    return body


def _sky(time: str, rng: random.Random) -> tuple[str, str]:
    stops = {"day": ("#6db9ee", "#d7effb"), "sunset": ("#b14a6e", "#fbb35b"), "night": ("#0d1533", "#2b3a70")}[time]
    colours = f'<stop offset="0" stop-color="{stops[0]}"/><stop offset="1" stop-color="{stops[1]}"/>'
    defs = f'<linearGradient id="sky" x1="0" y1="0" x2="0" y2="1">{colours}</linearGradient>'
    body = '<rect width="128" height="92" fill="url(#sky)"/>'
    x = rng.choice((16, 110))
    if time == "day":
        body += f'<ellipse cx="{x}" cy="18" rx="14" ry="5" fill="#ffffff"/><ellipse cx="{x + 7}" cy="14" rx="8" ry="5" fill="#ffffff"/>'
    elif time == "sunset":
        body += f'<circle cx="{x}" cy="62" r="9" fill="#ffe08a"/>'
    else:
        body += f'<circle cx="{x}" cy="15" r="7" fill="#f6f0c4"/>'
        for _ in range(7):
            body += f'<circle cx="{rng.randrange(128)}" cy="{rng.randrange(60)}" r="1" fill="#ffffff"/>'
    return defs, body


def _outdoor(place: str, time: str, rng: random.Random) -> tuple[str, str]:
    dim = {"day": 1.0, "sunset": 0.8, "night": 0.45}[time]
    defs, body = _sky(time, rng)
    horizon = round(rng.uniform(76, 82), 1)
    if place == "green_field":
        body += f'<path d="M0 {horizon - 5} Q32 {horizon - 13} 64 {horizon - 4} T128 {horizon - 6} V128 H0Z" fill="{shade("#79b356", dim)}"/>'
        body += f'<rect y="{horizon + 4}" width="128" height="60" fill="{shade("#5f9f43", dim)}"/>'
    elif place == "seaside":
        body += f'<rect y="{horizon - 10}" width="128" height="30" fill="{shade("#2f86b5", dim)}"/>'
        for i in range(5):
            wave = rng.randrange(110)
            body += f'<rect x="{wave}" y="{horizon - 7 + i * 3}" width="16" height="1.2" fill="{shade("#a9d8ec", dim)}"/>'
        body += f'<path d="M0 {horizon + 10} Q64 {horizon + 3} 128 {horizon + 9} V128 H0Z" fill="{shade("#e8d19c", dim)}"/>'
    elif place == "city":
        x = -4
        while x < 128:
            width, height = rng.randrange(12, 20), rng.randrange(16, 34)
            body += f'<rect x="{x}" y="{horizon - height}" width="{width}" height="{height + 10}" fill="{shade("#a3abb8", dim * rng.uniform(0.9, 1))}"/>'
            lit = "#f8dc7a" if time == "night" else shade("#c9d4e0", dim)
            for row in range(2):
                body += f'<rect x="{x + 3}" y="{horizon - height + 4 + row * 7}" width="{width - 6}" height="2.4" fill="{lit}"/>'
            x += width + 1
        body += f'<rect y="{horizon}" width="128" height="60" fill="{shade("#777a80", dim)}"/>'
        body += f'<rect y="{horizon + 2}" width="128" height="3" fill="{shade("#c8c8c4", dim)}"/>'
    else:
        for peak, tone in ((26, "#7f9bb8"), (74, "#6c88a6"), (112, "#87a3bd")):
            top = horizon - rng.uniform(30, 44)
            body += f'<path d="M{peak - 48} {horizon} L{peak} {top:.1f} L{peak + 48} {horizon}Z" fill="{shade(tone, dim)}"/>'
            snow = f"M{peak - 9} {top + 8:.1f} L{peak} {top:.1f} L{peak + 9} {top + 8:.1f} L{peak + 3} {top + 6:.1f} L{peak - 2} {top + 10:.1f}Z"
            body += f'<path d="{snow}" fill="{shade("#f2f6fa", max(dim, 0.7))}"/>'
        body += f'<rect y="{horizon - 2}" width="128" height="60" fill="{shade("#8a9a5b", dim)}"/>'
    return defs, body


def _positions(attributes: Attributes, rng: random.Random) -> list[tuple[float, float, float]]:
    """Centre x, ground y and scale (picture units per drawing unit) of each thing."""
    ground = rng.uniform(112, 117)
    if attributes.number == 2:
        scale = rng.uniform(0.62, 0.68)
        return [(33 + rng.uniform(-2, 2), ground, scale), (95 + rng.uniform(-2, 2), ground, scale)]
    if attributes.side == "centre":
        return [(64 + rng.uniform(-3, 3), ground, rng.uniform(1.0, 1.1))]
    x = 41 if attributes.side == "left" else 87
    return [(x + rng.uniform(-2, 2), ground, rng.uniform(0.8, 0.86))]


def scene_svg(draw: Drawing, attributes: Attributes, seed: int) -> str:
    """The whole picture as SVG, 128 x 128 units; the same arguments always give the same text."""
    rng = random.Random(seed)
    if attributes.place in TABLE_PLACES:
        defs, body = "", _table(attributes.place, attributes.time, rng)
    else:
        defs, body = _outdoor(attributes.place, attributes.time, rng)
    colour = jitter(COLOURS[attributes.colour or "white"], rng)
    for i, (x, ground, scale) in enumerate(_positions(attributes, rng)):
        pen = Pen(rng=random.Random(rng.getrandbits(32)), colour=colour, prefix=f"p{i}_")
        drawn = draw(pen)
        body += f'<ellipse cx="{x:.1f}" cy="{ground:.1f}" rx="{38 * scale:.1f}" ry="{5 * scale:.1f}" fill="#000000" fill-opacity="0.22"/>'
        body += f'<g transform="translate({x:.1f} {ground - 42 * scale:.1f}) scale({scale:.3f})">{drawn}</g>'
        defs += "".join(pen.defs)
    if attributes.time == "night":
        body += '<rect width="128" height="128" fill="#0b1440" fill-opacity="0.22"/>'
    elif attributes.time == "sunset":
        body += '<rect width="128" height="128" fill="#ff7a30" fill-opacity="0.10"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128"><defs>{defs}</defs>{body}</svg>'


def render_svg(svg: str, size_px: int = SIZE_PX) -> Image.Image:
    """SVG text => RGB picture of size_px x size_px, uint8 [0, 255]."""
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size_px, height=size_px, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGB")
