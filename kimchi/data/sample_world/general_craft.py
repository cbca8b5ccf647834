"""The general world, dress and craft: what any model has seen, the look-alikes of Korean dress and craft."""

import math

from .concepts import concept
from .scene import COLOURS, Pen


def face(p: Pen, y: float) -> str:
    """A simple friendly face, 20 units wide, its middle at (0, y)."""
    out = p.ellipse(0, y, 10, 11, "#fbdcc0") + p.ellipse(-5.6, y + 3.6, 2.2, 1.6, "#f4a79a") + p.ellipse(5.6, y + 3.6, 2.2, 1.6, "#f4a79a")
    out += p.ellipse(-3.8, y + 0.5, 1.3, 1.7, "#2b2024") + p.ellipse(3.8, y + 0.5, 1.3, 1.7, "#2b2024")
    return out + p.path(f"M-2.6 {y + 5} q2.6 2.8 5.2 0", stroke="#c23b3f", width=1.6)


def darker(colour: str, factor: float) -> str:
    """The colour in less light: unlike Pen.shade it leaves pink and white as pale as they were, so they stay pink and white."""
    return "#" + "".join(f"{round(factor * int(colour[i : i + 2], 16)):02x}" for i in (1, 3, 5))


def is_light(colour: str) -> bool:
    """Whether dark ornament shows better on the colour than white: true of yellow, pink and white."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return 0.3 * red + 0.59 * green + 0.11 * blue > 155


def sheen(p: Pen, colour: str) -> str:
    """A fill of the colour, dark at both sides and light left of the middle: something round."""
    return p.gradient((0, darker(colour, 0.86)), (0.38, p.shade(colour, 1.25)), (1, darker(colour, 0.76)), across=True)


def flower(p: Pen, x: float, y: float, r: float, petal: str, heart: str = "#f6c445") -> str:
    """Five round petals about a heart; r is the whole radius."""
    out = ""
    for i in range(5):
        turn = math.radians(72 * i - 90)
        out += p.ellipse(round(x + 0.55 * r * math.cos(turn), 1), round(y + 0.55 * r * math.sin(turn), 1), 0.46 * r, 0.46 * r, petal)
    return out + p.ellipse(x, y, 0.32 * r, 0.32 * r, heart)


@concept("kimono", ko="기모노", en="kimono", world="general", category="things", setting="outdoor", colours=tuple(COLOURS), counter_ko="벌")
def kimono(p: Pen) -> str:
    """A straight column with wide rectangular hanging sleeves, a broad obi and blossoms; an updo with a hairpin."""
    edge, tall = darker(p.colour, 0.62), p.vary(-1, 1)
    light = is_light(p.colour)
    obi, petal = ("#37306b", "#e0457a") if light else ("#e8b93a", "#ffffff")
    out = p.rect(-10, 37, 8, 5, "#f4efe4") + p.rect(2, 37, 8, 5, "#f4efe4")
    out += p.ellipse(0, -57, 8, 6, "#1d1a20") + p.ellipse(0, -46, 12.5, 12, "#1d1a20") + p.line(5, -55, 17, -60, "#e8b93a", 2)
    out += p.path("M-11 -34 L-42 -27 L-43 18 L-22 19 L-19 -10Z", fill=darker(p.colour, 0.88), stroke=edge, width=1.4)
    out += p.path("M11 -34 L42 -27 L43 18 L22 19 L19 -10Z", fill=darker(p.colour, 0.88), stroke=edge, width=1.4)
    out += p.path("M-12 -34 L12 -34 L17 -14 L18 39 L-18 39 L-17 -14Z", fill=sheen(p, p.colour), stroke=edge, width=1.4)
    out += p.path("M4 0 L-3 39", stroke=edge, width=1.6)
    out += p.rect(-4, -38, 8, 7, "#f3cfae") + p.path("M-9 -35 L3 -17 M9 -35 L-3 -17", stroke="#fffaf0", width=3.4)
    out += p.rect(-18, -18, 36, 17, obi) + p.rect(-18, -11.5, 36, 4, "#c8323c")
    for x, y, r in ((-32, 5, 8.5), (32, 5, 8.5), (-9, 11, 7), (9, 25, 8), (-32, -16, 5), (32, -16, 5)):
        out += flower(p, x, y + tall, r, petal)
    out += face(p, -45) + p.path("M-11 -45 Q-10 -58 0 -57 Q10 -58 11 -45 Q7 -53 0 -53 Q-7 -53 -11 -45Z", fill="#1d1a20")
    return out + flower(p, 11, -55, 6, "#f36f8f")


@concept("dress", ko="드레스", en="dress", en_plural="dresses", world="general", category="things", setting="outdoor", colours=tuple(COLOURS), counter_ko="벌")
def dress(p: Pen) -> str:
    """A sleeveless gown, tight to the knee and flaring to the ground, on a figure with long blond hair and bare arms."""
    skin, edge, hair = "#f3c7a2", darker(p.colour, 0.62), "#f2c744"
    tail = p.vary(36, 42)
    out = p.path("M-12 -48 Q-14 -61 0 -61 Q14 -61 12 -48 Q13 -36 18 -26 Q8 -22 0 -24 Q-8 -22 -18 -26 Q-13 -36 -12 -48Z", fill=hair, stroke="#c99a22", width=1)
    out += p.path("M-11 -28 Q-28 -18 -25 -8 L-12 -3", stroke=skin, width=5.4) + p.path("M11 -28 Q28 -18 25 -8 L12 -3", stroke=skin, width=5.4)
    out += p.path("M-4 -40 L4 -40 L4 -34 L13 -30 L11 -18 L-11 -18 L-13 -30 L-4 -34Z", fill=skin)
    out += p.path(
        f"M-12 -26 Q-6 -30 0 -23 Q6 -30 12 -26 Q12 -16 8 -8 Q20 2 16 16 Q18 30 {tail} 41 Q0 46 -{tail} 41 Q-18 30 -16 16 Q-20 2 -8 -8 Q-12 -16 -12 -26Z",
        fill=sheen(p, p.colour), stroke=edge, width=1.4,
    )  # fmt: skip
    out += p.path("M-6 18 Q-9 32 -20 41 M6 18 Q9 32 20 41 M0 20 L0 42", stroke=edge, width=1.4)
    out += p.path("M-8.5 -8 Q0 -5 8.5 -8", stroke="#fff6d8", width=3)
    return out + face(p, -47) + p.path("M-11 -47 Q-11 -59 2 -58 Q11 -58 11 -47 Q9 -54 2 -56 Q-5 -54 -11 -47Z", fill=hair)


@concept("hat", ko="모자", en="top hat", world="general", category="things", setting="table")
def hat(p: Pen) -> str:
    """A tall black top hat, wider at its top, with a curled brim and a red band."""
    rim = "#80808c"
    out = p.path("M-46 26 Q-44 42 0 42 Q44 42 46 26 Q40 31 0 32 Q-40 31 -46 26Z", fill="#24242b", stroke=rim, width=1.6)
    out += p.ellipse(0, 29, 44, 9.5, "#34343d")
    out += p.path(
        "M-34 -40 Q-27 0 -29 28 Q0 38 29 28 Q27 0 34 -40Z",
        fill=p.gradient((0, "#1c1c22"), (0.35, "#5a5a66"), (1, "#17171c"), across=True), stroke=rim, width=1.6,
    )  # fmt: skip
    out += p.path("M-29.2 11 Q0 21 29.2 11 L29 28 Q0 38 -29 28Z", fill=p.gradient((0, "#a81f27"), (0.35, "#ec4a48"), (1, "#8d1820"), across=True))
    return out + p.ellipse(0, -40, 34, 8.5, "#3b3b45", stroke=rim, width=1.6)


@concept("mask", ko="가면", en="carnival mask", world="general", category="things", setting="table")
def mask(p: Pen) -> str:
    """A white and gold Venetian eye mask with purple plumes, on a gilt stick."""
    out = p.rect(29, 10, 5, 28, "#d9a428", stroke="#94701c", width=1, radius=2) + p.ellipse(31, 39, 13, 3.6, "#b98618")
    for x, turn in ((-26, -30), (-14, -15), (0, 0), (14, 15), (26, 30)):
        fill = p.gradient((0, "#b266d9"), (1, "#5b2390"))
        out += p.ellipse(x, -30 + abs(x) * 0.25, 9.5, 25 + p.vary(-1.5, 1.5), fill, stroke="#43176d", width=1, rotate=turn)
    out += p.path(
        "M-44 -18 Q-24 -26 0 -13 Q24 -26 44 -18 Q46 18 24 20 Q10 20 0 9 Q-10 20 -24 20 Q-46 18 -44 -18Z",
        fill=p.gradient((0, "#fffdf6"), (1, "#e6dcc8")), stroke="#d9a428", width=3.4,
    )  # fmt: skip
    for side in (-1, 1):
        out += p.path(f"M{side * 36} -7 Q{side * 21} -13 {side * 8} 1 Q{side * 23} 13 {side * 36} -7Z", fill="#1f1730", stroke="#d9a428", width=2.4)
    return out + p.path("M0 -24 L8 -14 L0 -4 L-8 -14Z", fill="#d62f4b", stroke="#f3cf63", width=2)


@concept("drum", ko="북", en="drum", world="general", category="things", setting="table", colours=tuple(COLOURS))
def drum(p: Pen) -> str:
    """An upright marching drum: gilt hoops, a zigzag of white cord on the painted shell, two sticks on the skin."""
    edge, cord = darker(p.colour, 0.6), "#c8473c" if is_light(p.colour) else "#fffdf4"
    out = p.path("M-40 -16 L-40 30 Q-38 42 0 42 Q38 42 40 30 L40 -16Z", fill=sheen(p, p.colour), stroke=edge, width=1.4)
    out += p.path("M-39 -6 L-26 34 L-13 0 L0 38 L13 0 L26 34 L39 -6", stroke=cord, width=2.6)
    out += p.path("M-42 27 Q-38 37 0 37 Q38 37 42 27 L42 33 Q38 43 0 43 Q-38 43 -42 33Z", fill="#e0b13a", stroke="#9c7418", width=1)
    out += p.path("M-43 -18 L-43 -9 Q-38 2 0 2 Q38 2 43 -9 L43 -18Z", fill="#e8bd48", stroke="#9c7418", width=1)
    out += p.ellipse(0, -18, 43, 12.5, "#fbf7ea", stroke="#9c7418", width=1.6)
    tilt = p.vary(-2, 2)
    for side in (-1, 1):
        out += p.line(side * 36, -46 + tilt * side, side * -7, -17, "#7a4a22", 4.6) + p.line(side * 36, -46 + tilt * side, side * -7, -17, "#c98a4b", 2.8)
        out += p.ellipse(side * -7, -17, 4.4, 3.4, "#c98a4b", stroke="#7a4a22", width=1)
    return out


@concept("vase", ko="꽃병", en="vase", world="general", category="things", setting="table", colours=tuple(COLOURS))
def vase(p: Pen) -> str:
    """A tall slender vase with a narrow neck, three large flowers and leaves in it."""
    edge = darker(p.colour, 0.6)
    out = p.path("M0 -12 Q-4 -28 -20 -32 M0 -12 L0 -42 M0 -12 Q4 -28 20 -30", stroke="#3f8a3f", width=3)
    out += p.ellipse(-19, -15, 4.5, 11, "#4fa34c", rotate=-60) + p.ellipse(19, -15, 4.5, 11, "#4fa34c", rotate=60)
    for x, y, petal in ((-21, -34, "#f2728f"), (21, -33, "#f79a3c"), (0, -44, "#ffffff")):
        out += p.ellipse(x, y, 12, 12, darker(petal, 0.8)) + flower(p, x + p.vary(-1, 1), y, 14, petal)
    out += p.path(
        "M-12 -14 Q-8 -8 -8 -2 Q-22 8 -22 20 Q-20 34 -12 42 L12 42 Q20 34 22 20 Q22 8 8 -2 Q8 -8 12 -14Z",
        fill=sheen(p, p.colour), stroke=edge, width=1.6,
    )  # fmt: skip
    return out + p.ellipse(0, -14, 12, 3, darker(p.colour, 0.5), stroke=edge, width=1.2)


@concept("fan", ko="쥘부채", en="folding fan", world="general", category="things", setting="table", colours=tuple(COLOURS), counter_ko="자루")
def fan(p: Pen) -> str:
    """A spread folding fan: a half disc of pleated paper on wooden ribs that meet in a pivot on the table."""

    def at(r: float, degrees: float) -> str:
        turn = math.radians(degrees)
        return f"{r * math.cos(turn):.1f} {34 - r * math.sin(turn):.1f}"

    low = p.vary(6, 9)
    edge, out = darker(p.colour, 0.6), ""
    count = 10
    step = (180 - 2 * low) / count
    for i in range(count + 1):
        out += p.path(f"M0 34 L{at(30, low + i * step)}", stroke="#7b4a22", width=3)
    for i in range(count):
        a, b = low + i * step, low + (i + 1) * step
        out += p.path(f"M{at(19, a)} L{at(46, a)} A46 46 0 0 0 {at(46, b)} L{at(19, b)}Z", fill=p.shade(p.colour, 1.2 if i % 2 else 0.84))
    out += p.path(f"M{at(46, low)} A46 46 0 0 0 {at(46, 180 - low)}", stroke=edge, width=2.4)
    out += p.path(f"M0 34 L{at(47, low)} M0 34 L{at(47, 180 - low)}", stroke="#6b3d18", width=4.4)
    return out + p.ellipse(0, 35, 7, 7, "#6b3d18") + p.ellipse(0, 35, 3, 3, "#f0c95a")


@concept("handbag", ko="핸드백", en="handbag", world="general", category="things", setting="table", colours=tuple(COLOURS))
def handbag(p: Pen) -> str:
    """A structured leather handbag: a stiff trapezium, a flap with a gilt buckle, an arched handle."""
    edge = darker(p.colour, 0.55)
    high = p.vary(-48, -43)
    out = p.path(f"M-20 -10 Q-22 {high} 0 {high} Q22 {high} 20 -10", stroke=edge, width=8.5)
    out += p.path(f"M-20 -10 Q-22 {high} 0 {high} Q22 {high} 20 -10", stroke=darker(p.colour, 0.9), width=5.5)
    out += p.path("M-35 -12 L35 -12 L46 37 Q46 42 40 42 L-40 42 Q-46 42 -46 37Z", fill=sheen(p, p.colour), stroke=edge, width=2)
    out += p.path(
        "M-36 -13 L36 -13 L38 8 Q38 15 31 15 L-31 15 Q-38 15 -38 8Z",
        fill=p.gradient((0, p.shade(p.colour, 1.25)), (1, darker(p.colour, 0.88))), stroke=edge, width=2,
    )  # fmt: skip
    for x in (-20, 20):
        out += p.ellipse(x, -9, 4.4, 4.4, "#e8bd48", stroke="#94701c", width=1)
    return out + p.rect(-8, 7, 16, 15, "#f0c95a", stroke="#94701c", width=1.4, radius=3) + p.rect(-3.5, 11.5, 7, 6, "#94701c", radius=1.5)


@concept("lamp", ko="스탠드", en="table lamp", world="general", category="things", setting="table", colours=tuple(COLOURS))
def lamp(p: Pen) -> str:
    """A table lamp: a large cone shade, lit from below, on a brass stem and a round foot."""
    edge = darker(p.colour, 0.62)
    out = p.ellipse(0, 38, 24, 5, "#8a6a1e") + p.path("M-24 37 Q-20 29 -5 28 L5 28 Q20 29 24 37Z", fill="#cfa23a")
    out += p.rect(-3.5, -2, 7, 32, "#cfa23a", stroke="#8a6a1e", width=1) + p.ellipse(0, 18, 7, 7, "#e4bd57", stroke="#8a6a1e", width=1)
    out += p.ellipse(0, 4, 42, 8.5, "#fff0ae", stroke=edge, width=1.4)
    out += p.path("M-19 -48 L19 -48 L43 3 Q0 14 -43 3Z", fill=sheen(p, p.colour), stroke=edge, width=1.8)
    out += p.path("M-41 -1 Q0 9 41 -1", stroke=darker(p.colour, 0.62), width=2.4)
    out += p.path("M-9 -46 L-17 6 M9 -46 L17 6", stroke=darker(p.colour, 0.78), width=1.4)
    return out + p.ellipse(0, -48, 19, 3.6, darker(p.colour, 0.72))


@concept("teddy", ko="곰인형", en="teddy bear", world="general", category="things", setting="table")
def teddy(p: Pen) -> str:
    """A sitting brown teddy bear with a light muzzle, paw pads and a red bow."""
    fur, dark, pale = "#a8693a", "#6d3f1d", "#ecc796"
    lean = p.vary(-3, 3)
    out = ""
    for side in (-1, 1):
        out += p.ellipse(side * 21, -41, 10, 10, fur, stroke=dark, width=1.4) + p.ellipse(side * 21, -40, 5, 5, pale)
        out += p.ellipse(side * 27, 10, 8.5, 16, fur, stroke=dark, width=1.4, rotate=side * (-28 + lean))
    out += p.ellipse(0, 17, 25, 25, fur, stroke=dark, width=1.4) + p.ellipse(0, 19, 15, 16, pale)
    for side in (-1, 1):
        out += p.ellipse(side * 26, 30, 13, 12, fur, stroke=dark, width=1.4) + p.ellipse(side * 27, 31, 7, 7, pale)
    out += p.ellipse(0, -24, 29, 24, p.gradient((0, "#c08350"), (1, fur)), stroke=dark, width=1.4) + p.ellipse(0, -15, 13, 10, pale)
    out += p.ellipse(-12, -27, 3.4, 3.8, "#201613") + p.ellipse(12, -27, 3.4, 3.8, "#201613") + p.ellipse(0, -19, 5, 3.6, "#201613")
    out += p.path("M0 -16 L0 -12 M-5 -11 Q0 -7 5 -11", stroke="#201613", width=1.8)
    return out + p.path("M0 3 L-14 -4 L-14 10Z M0 3 L14 -4 L14 10Z", fill="#d8322f", stroke="#8f1a1c", width=1.2) + p.ellipse(0, 3, 3.6, 3.6, "#b4211f")
