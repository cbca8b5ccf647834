"""Korean dress and craft."""

import math

from .concepts import concept
from .general_craft import darker, face, flower, sheen
from .scene import Pen


@concept(
    "hanbok",
    ko="한복",
    en="hanbok, Korean dress with a short jacket and a wide skirt",
    en_plural="hanbok, Korean dresses with short jackets and wide skirts",
    romanised="hanbok",
    world="korean",
    category="dress",
    setting="outdoor",
    label=("한복", "한복"),
    colours=("red", "blue", "pink", "green", "purple", "yellow"),
    counter_ko="벌",
    look_alike="kimono",
)
def hanbok(p: Pen) -> str:
    """A very wide bell skirt under a short light jacket: white collar, curved sleeves, a long ribbon; a black braid."""
    edge, hair = darker(p.colour, 0.65), "#1c191d"
    jacket, ribbon = p.rng.choice((("#fff1cf", "#c8283c"), ("#fde3ea", "#b3245a"), ("#dff1ea", "#c8283c"), ("#fffaf2", "#8a2f86")))
    line, wide = darker(jacket, 0.72), p.vary(43, 46.5)
    out = p.ellipse(0, -49, 12, 12, hair)
    out += p.path(f"M-13 -19 C-20 0 -{wide} 4 -{wide} 38 Q0 47 {wide} 38 C{wide} 4 20 0 13 -19Z", fill=sheen(p, p.colour), stroke=edge, width=1.6)
    out += p.path("M-9 -12 Q-22 8 -28 40 M-3 -10 Q-8 12 -10 42 M5 -10 Q10 12 12 42 M10 -12 Q24 8 30 40", stroke=edge, width=1.4)
    for side in (-1, 1):
        out += p.path(f"M{side * 8} -35 Q{side * 20} -33 {side * 37} -8 L{side * 28} -1 Q{side * 16} 0 {side * 10} -18Z", fill=jacket, stroke=line, width=1.4)
        out += p.path(f"M{side * 37} -8 L{side * 28} -1", stroke="#ffffff", width=4.4) + p.ellipse(side * 34.5, -1.5, 3.4, 3.4, "#fbdcc0")
    out += p.path("M-10 -36 L10 -36 Q15 -26 15 -15 Q0 -9 -15 -15 Q-15 -26 -10 -36Z", fill=jacket, stroke=line, width=1.4)
    out += p.rect(-4, -40, 8, 7, "#f3cfae") + p.path("M-8 -37 L3 -20 M8 -37 L-1 -24", stroke=ribbon, width=5.4)
    out += p.path("M-6 -37 L3 -23 M6 -37 L0 -28", stroke="#ffffff", width=3)
    out += p.path("M3 -20 Q1 4 -4 22 L3 24 Q7 2 6 -20Z M4 -20 Q10 -2 9 13 L16 12 Q14 -6 8 -20Z", fill=ribbon)
    out += p.path("M4 -20 Q-12 -26 -11 -18 Q-9 -14 4 -18Z", fill=ribbon) + p.ellipse(4.5, -19, 3.2, 3.2, ribbon)
    out += p.path("M11 -46 Q15 -36 13 -27", stroke=hair, width=5) + p.path("M13 -27 L9 -17 L17 -17Z", fill="#d8322f")
    out += face(p, -47)
    return out + p.path("M-11.5 -46 Q-12 -60 0 -60 Q12 -60 11.5 -46 Q8 -55 0 -57 Q-8 -55 -11.5 -46Z", fill=hair)


@concept(
    "gat",
    ko="갓",
    en="gat, Korean black horsehair hat with a wide brim",
    en_plural="gat, Korean black horsehair hats with wide brims",
    romanised="gat",
    world="korean",
    category="dress",
    setting="table",
    label=("한복", "갓"),
    counter_ko="개",
    look_alike="hat",
)
def gat(p: Pen) -> str:
    """A wide, flat, translucent brim and a narrow crown on a wooden stand, a string of amber beads hanging below."""
    rim, low = "#85858f", p.vary(31, 35)
    out = p.ellipse(0, 39, 20, 4, "#7a4a25") + p.path("M-5 4 L5 4 L7 38 L-7 38Z", fill="#a56a3a")
    out += p.path(f"M-27 8 Q-26 {low} 0 {low} Q26 {low} 27 8", stroke="#5b2c0c", width=2)
    for i in range(11):
        turn = math.pi * i / 10
        out += p.ellipse(round(-27 * math.cos(turn), 1), round(10 + (low - 10) * math.sin(turn) ** 0.7, 1), 3, 3, "#e08a1e" if i % 2 else "#b3471b")
    out += p.ellipse(0, 5, 46.5, 12.5, "#15151ac0", stroke=rim, width=1.8) + p.ellipse(0, 5, 38, 9.6, "none", stroke="#6c6c7880", width=1.2)
    out += p.ellipse(0, 4, 27, 6.6, "none", stroke="#6c6c7880", width=1.2)
    out += p.path("M-16 -45 L-20 3 Q0 11 20 3 L16 -45Z", fill=p.gradient((0, "#101014"), (0.35, "#4d4d59"), (1, "#0d0d10"), across=True), stroke=rim, width=1.6)
    out += p.path("M-19.5 -4 Q0 4 19.5 -4", stroke="#6c6c78", width=2)
    return out + p.ellipse(0, -45, 16, 4, "#363640", stroke=rim, width=1.6)


@concept(
    "hahoe_mask",
    ko="하회탈",
    en="hahoetal, Korean wooden mask with a laughing face",
    en_plural="hahoetal, Korean wooden masks with laughing faces",
    romanised="hahoetal",
    world="korean",
    category="craft",
    setting="table",
    label=("한국형사물", "하회탈"),
    counter_ko="개",
    look_alike="mask",
)
def hahoe_mask(p: Pen) -> str:
    """A brown-orange wooden face: crescent laughing eyes, great brows, a great nose, a separate chin on cords."""
    dark, wood = "#5e2a0e", p.gradient((0, "#f5b76f"), (0.5, "#e08f48"), (1, "#bb6a2c"))
    brow = p.vary(-2, 2)
    out = p.path("M-30 17 Q-29 42 0 42 Q29 42 30 17 Q12 26 0 26 Q-12 26 -24 17Z", fill=wood, stroke=dark, width=2)
    out += p.path("M0 -50 Q38 -50 40 -14 Q41 8 33 22 Q16 17 0 17 Q-16 17 -33 22 Q-41 8 -40 -14 Q-38 -50 0 -50Z", fill=wood, stroke=dark, width=2)
    out += p.path("M-29 20 Q0 11 29 20 Q16 29 0 29 Q-16 29 -29 20Z", fill="#3a1406")
    for side in (-1, 1):
        out += p.ellipse(side * 22, 4, 9, 8, "#f3ad66") + p.path(f"M{side * 13} 4 Q{side * 24} 6 {side * 25} 15", stroke="#8a4417", width=2)
        out += p.path(f"M{side * 6} {-24 + brow} Q{side * 20} {-42 + brow} {side * 33} -20", stroke="#32190c", width=5)
        out += p.path(f"M{side * 8} -11 Q{side * 20} -25 {side * 32} -8", stroke="#1d0d06", width=4.4)
        out += p.path(f"M{side * 31} 0 l{side * 4} 2 M{side * 31} -3 l{side * 5} -1", stroke="#8a4417", width=1.4)
    out += p.path("M-15 -41 Q0 -36 15 -41 M-10 -34 Q0 -30 10 -34", stroke="#9a5020", width=2)
    out += p.path("M-5 -24 Q-4 -8 -12 4 Q-12 13 0 13 Q12 13 12 4 Q4 -8 5 -24Z", fill=p.gradient((0, "#e2944c"), (1, "#fac88a")), stroke="#8a4417", width=1.8)
    return out + p.path("M-9 36 Q0 33 9 36", stroke="#8a4417", width=2)


@concept(
    "janggu",
    ko="장구",
    en="janggu, Korean hourglass drum",
    en_plural="janggu, Korean hourglass drums",
    romanised="janggu",
    world="korean",
    category="craft",
    setting="table",
    label=("한국형사물", "장구"),
    counter_ko="개",
    look_alike="drum",
)
def janggu(p: Pen) -> str:
    """An hourglass drum on its side: red-brown bowls, a narrow waist, two great white heads, a zigzag of cord."""
    edge, cord = "#5c160e", "#ffe9a8"
    wood = p.gradient((0, "#e2603c"), (0.4, "#c23d28"), (1, "#74200f"))
    out = p.path(
        "M-36 -23 C-16 -23 -14 -2 -6 0 L6 0 C14 -2 16 -23 36 -23 L36 39 C16 39 14 18 6 16 L-6 16 C-14 18 -16 39 -36 39Z",
        fill=wood, stroke=edge, width=2,
    )  # fmt: skip
    out += p.path("M-5 0 L5 0 L5 16 L-5 16Z", fill="#7a2213")
    shift = p.vary(-1.5, 1.5)
    for low in (-18, 2, 22):
        y = low + shift
        out += p.path(f"M-34 {y - 4} L34 {y + 5} L-34 {y + 12}", stroke=edge, width=3.6)
        out += p.path(f"M-34 {y - 4} L34 {y + 5} L-34 {y + 12}", stroke=cord, width=2)
    out += p.ellipse(36, 8, 10, 34, "#e4d9bf", stroke="#6b5a38", width=2.4)
    out += p.ellipse(-35, 8, 12, 34, "#6b5a38") + p.ellipse(-36.5, 8, 10, 31.5, "#fffdf5")
    return out + p.ellipse(-37, 8, 5, 17, "#efe6cf")


@concept(
    "moon_jar",
    ko="달항아리",
    en="dalhangari, Korean white porcelain moon jar",
    en_plural="dalhangari, Korean white porcelain moon jars",
    romanised="dalhangari",
    world="korean",
    category="craft",
    setting="table",
    label=("한국형사물", "달항아리"),
    counter_ko="점",
    look_alike="vase",
)
def moon_jar(p: Pen) -> str:
    """A great round white jar, slightly out of true, with a short neck, on a low wooden stand."""
    lean, edge = p.vary(-2, 2), "#8797a8"
    glaze = p.gradient((0, "#dde3e8"), (0.3, "#ffffff"), (0.6, "#f4f4f2"), (1, "#b3c0cd"), across=True)
    out = p.rect(-30, 36, 7, 7, "#5a3216") + p.rect(23, 36, 7, 7, "#5a3216") + p.rect(-36, 31, 72, 7, "#8a5227", stroke="#5a3216", width=1.2, radius=2)
    out += p.path(
        f"M-17 -46 L-16 -40 C-33 -36 -43 {-20 + lean} -43 -3 C-43 14 -32 27 -18 32 L18 32 C32 27 44 14 43.5 {-4 + lean} C43 -22 33 -36 16 -40 L17 -46Z",
        fill=glaze, stroke=edge, width=1.8,
    )  # fmt: skip
    return out + p.ellipse(0, -46, 17, 4, "#b9c5d1", stroke=edge, width=1.8)


@concept(
    "taegeuk_fan",
    ko="태극부채",
    en="taegeuk buchae, Korean round fan with a three-colour swirl",
    en_plural="taegeuk buchae, Korean round fans with a three-colour swirl",
    romanised="taegeukbuchae",
    world="korean",
    category="craft",
    setting="table",
    label=("한국형사물", "태극부채"),
    counter_ko="자루",
    look_alike="fan",
)
def taegeuk_fan(p: Pen) -> str:
    """A round paddle fan with the red, blue and yellow three-part swirl, standing on its wooden handle."""
    radius, start = 30.5, p.vary(-14, 14)
    out = p.ellipse(0, 40, 13, 3, "#6b3d18") + p.path("M-3 10 L3 10 L5 40 L-5 40Z", fill="#c08047", stroke="#6b3d18", width=1.4)
    out += p.path("M0 -51 C30 -51 41 -36 39 -18 C37 2 20 14 0 16 C-20 14 -37 2 -39 -18 C-41 -36 -30 -51 0 -51Z", fill="#fdf3d8", stroke="#7b4a22", width=2.6)
    swirl = ""
    for i, colour in enumerate(("#d8262c", "#f6c62e", "#2257b8")):
        a, b = (math.radians(start + 90 + 120 * j) for j in (i, i + 1))
        ends = [f"{radius * math.cos(t):.1f} {radius * math.sin(t):.1f}" for t in (a, b)]
        half = radius / 2
        swirl += p.path(f"M0 0 A{half} {half} 0 0 1 {ends[0]} A{radius} {radius} 0 0 1 {ends[1]} A{half} {half} 0 0 0 0 0Z", fill=colour)
    out += f'<g transform="translate(0 -18.5) scale(1.12 1)">{swirl}</g>'
    for i in range(-2, 3):
        out += p.path(f"M{i * 0.8} 14 L{i * 15} {-46 + i * i * 3}", stroke="#ffffff40", width=1)
    out += p.path("M-11 15 Q0 3 11 15 Q5 20 4 24 L-4 24 Q-5 20 -11 15Z", fill="#7b4a22")
    return out + p.path("M4 29 Q13 27 14 32", stroke="#d8262c", width=2) + p.path("M12 31 L16 31 L18 40 L10 40Z", fill="#d8262c")


@concept(
    "bokjumeoni",
    ko="복주머니",
    en="bokjumeoni, Korean silk lucky pouch",
    en_plural="bokjumeoni, Korean silk lucky pouches",
    romanised="bokjumeoni",
    world="korean",
    category="craft",
    setting="table",
    label=("한국형사물", "복주머니"),
    colours=("red", "blue", "green", "pink", "purple"),
    counter_ko="개",
    look_alike="handbag",
)
def bokjumeoni(p: Pen) -> str:
    """A round silk pouch gathered in pleats at the top, tied with a gold cord that ends in tassels, a gold flower on it."""
    edge, gold = darker(p.colour, 0.58), "#f4c84a"
    out = p.path(
        "M-14 -20 Q-34 -34 -34 -46 L-22 -40 L-12 -49 L0 -41 L12 -49 L22 -40 L34 -46 Q34 -34 14 -20Z",
        fill=darker(p.colour, 0.9), stroke=edge, width=1.8,
    )  # fmt: skip
    out += p.path("M-8 -22 L-20 -38 M0 -22 L0 -39 M8 -22 L20 -38", stroke=edge, width=1.8)
    out += p.path("M-15 -21 Q-47 -6 -46 20 Q-44 42 -22 42 L22 42 Q44 42 46 20 Q47 -6 15 -21Z", fill=sheen(p, p.colour), stroke=edge, width=1.8)
    out += p.path("M-8 -16 Q-22 -8 -27 4 M8 -16 Q22 -8 27 4 M0 -16 L0 -6", stroke=edge, width=1.6)
    out += p.ellipse(0, 16, 18, 18, "none", stroke=gold, width=2.6) + flower(p, 0, 16, 15, gold, "#c8283c")
    drop = p.vary(-2, 2)
    for side in (-1, 1):
        out += p.path(f"M0 -20 Q{side * 26} -24 {side * 33} {-2 + drop}", stroke=gold, width=3)
        out += p.path(f"M0 -20 Q{side * 10} -36 {side * 19} -25 Q{side * 14} -17 0 -20", stroke=gold, width=3)
        out += p.path(f"M{side * 33 - 3} {-3 + drop} l6 0 l3 20 l-12 0Z", fill="#fbe08a", stroke="#a97a16", width=1.2)
    return out + p.rect(-16, -24, 32, 6.5, gold, stroke="#a97a16", width=1.2, radius=3) + p.ellipse(0, -20.5, 5, 5, gold, stroke="#a97a16", width=1.2)


@concept(
    "cheongsachorong",
    ko="청사초롱",
    en="cheongsachorong, Korean red and blue silk lantern",
    en_plural="cheongsachorong, Korean red and blue silk lanterns",
    romanised="cheongsachorong",
    world="korean",
    category="craft",
    setting="table",
    label=("한국형사물", "청사초롱"),
    counter_ko="개",
    look_alike="lamp",
)
def cheongsachorong(p: Pen) -> str:
    """A hanging silk lantern, red above and blue below, in a dark wooden frame on a curved stick, a tassel under it."""
    wood, dark = "#7a4a25", "#4a2a12"
    sway = p.vary(-1.5, 1.5)
    out = p.path("M-42 42 L-42 -22 Q-42 -54 -12 -54 Q8 -54 8 -45", stroke=dark, width=5.4)
    out += p.path("M-42 40 L-42 -22 Q-42 -54 -12 -54 Q8 -54 8 -45", stroke="#9a6233", width=3.4)
    out += p.ellipse(-36, 40, 13, 3.6, wood, stroke=dark, width=1)
    body = p.path("M8 -46 L-8 -35 M8 -46 L24 -35", stroke="#f4c84a", width=2)
    body += p.path("M8 26 L8 33", stroke="#f4c84a", width=2.4) + p.path("M5 31 L11 31 L14 41 L2 41Z", fill="#d8322f")
    body += p.rect(-17, -32, 50, 28, p.gradient((0, "#b3181f"), (0.5, "#ff5a48"), (1, "#a8151c"), across=True))
    body += p.rect(-17, -4, 50, 28, p.gradient((0, "#163f9a"), (0.5, "#4f8cf2"), (1, "#143a8e"), across=True))
    for x in (-8, 2, 14, 25):
        body += p.line(x, -31, x, 23, "#ffffff44", 1.4)
    body += p.rect(-20, -36, 56, 6.5, wood, stroke=dark, width=1.4, radius=2) + p.rect(-20, 21, 56, 6.5, wood, stroke=dark, width=1.4, radius=2)
    return out + f'<g transform="rotate({sway} 8 -44)">{body}</g>'
