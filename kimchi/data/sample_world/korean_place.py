"""Korean heritage and landmarks."""

from .concepts import concept
from .scene import Pen


@concept(
    "hanok",
    ko="한옥",
    en="hanok, a traditional Korean tiled-roof house",
    en_plural="hanok, traditional Korean tiled-roof houses",
    romanised="hanok",
    world="korean",
    category="place",
    setting="outdoor",
    label=("유적건조물", "주거생활", "가옥", "한옥"),
    counter_ko="채",
    look_alike="house",
)
def hanok(p: Pen) -> str:
    """One storey: a wide dark tiled roof whose eaves curve up, cream walls, wooden posts, paper doors, a stone base."""
    wood, paper, line = "#7a4a25", "#fffaf0", "#2a2f36"
    out = p.rect(-44, 35, 88, 7, "#b9b3a6") + p.rect(-40, 32, 80, 4, "#d3cdc0") + p.rect(-37, 4, 74, 29, "#f0e6cf")
    for x in (-37, -15, 11, 33):
        out += p.rect(x, 4, 4, 29, wood)
    out += p.rect(-37, 6, 74, 4, wood) + p.rect(-11, 11, 22, 22, paper, stroke=wood, width=1.4)
    for x in (-5.5, 0, 5.5):
        out += p.line(x, 11, x, 33, wood, 1)
    for y in (18, 25):
        out += p.line(-11, y, 11, y, wood, 1)
    for x in (-31, 17):
        out += p.rect(x, 14, 14, 12, paper, stroke=wood, width=1.4) + p.line(x + 7, 14, x + 7, 26, wood, 1) + p.line(x, 20, x + 14, 20, wood, 1)
    out += p.path("M-50 -5 Q-36 -5 -31 -28 Q0 -23 31 -28 Q36 -5 50 -5 Q45 6 34 7 Q0 10 -34 7 Q-45 6 -50 -5Z", fill=p.gradient((0, "#5d6671"), (1, "#3b424b")))
    for i in range(-4, 5):
        out += p.path(f"M{i * 6.6} -26 Q{i * 7.6} -8 {i * 9.4} 6", stroke=line, width=1.3)
    for side in (-1, 1):
        out += p.path(f"M{side * 31} -28 Q{side * 36} -5 {side * 50} -5", stroke="#8b94a0", width=2)
    out += p.path("M-50 -5 Q-45 6 -34 7 Q0 10 34 7 Q45 6 50 -5", stroke="#a9825a", width=1.8)
    return out + p.path("M-33 -31 Q0 -24 33 -31", stroke=line, width=5) + p.path("M-34 -33 Q0 -26 34 -33", stroke="#9aa3ad", width=1.4)


@concept(
    "gwanghwamun",
    ko="광화문",
    en="Gwanghwamun, the main gate of Gyeongbokgung Palace",
    en_plural="Gwanghwamun gates",
    romanised="Gwanghwamun",
    world="korean",
    category="place",
    setting="outdoor",
    label=("유적건조물", "정치국방", "궁궐·관아", "광화문"),
    counter_ko="채",
    max_number=1,
    look_alike="castle",
)
def gwanghwamun(p: Pen) -> str:
    """A pale granite base with three arches, and on it a gate hall: two dark curved roofs with white ridges over red and green beams."""
    stone, seam, red, green = "#cfc8b8", "#aaa393", "#b23a2b", "#1f8a78"
    out = p.polygon([(-47, 42), (47, 42), (44, 6), (-44, 6)], p.gradient((0, "#ded8ca"), (1, stone)))
    for y in (15, 24, 33):
        out += p.line(-44.5, y, 44.5, y, seam, 0.9)
    for x, half, top in ((-29, 7, 23), (0, 10, 17), (29, 7, 23)):
        out += p.path(f"M{x - half - 2} 42 V{top + half} A{half + 2} {half + 2} 0 0 1 {x + half + 2} {top + half} V42Z", fill="#efe9dc")
        out += p.path(f"M{x - half} 42 V{top + half} A{half} {half} 0 0 1 {x + half} {top + half} V42Z", fill="#3b2a2c")
    out += p.rect(-45, 2, 90, 5, "#8d7b69")
    out += p.rect(-34, -9, 68, 11, "#6d2b22")
    for i in range(6):
        out += p.rect(-34 + i * 12.9, -9, 3.5, 11, "#d2503a")
    out += p.rect(-38, -12, 76, 5, green) + p.rect(-27, -30, 54, 11, red) + p.rect(-31, -31, 62, 5, green)
    out += _palace_roof(p, 50, 34, -9, -22) + _palace_roof(p, 43, 25, -29, -46)
    return out + p.rect(-7, -27, 14, 7, "#1e1a1c", stroke="#e6b64a", width=1.4)


def _palace_roof(p: Pen, eave: float, ridge: float, low: float, top: float) -> str:
    """One dark hipped roof with corners that turn up and white plaster ridges."""
    out = p.path(
        f"M{-eave} {low - 5} Q{-ridge - 4} {low - 5} {-ridge} {top}"
        f" H{ridge} Q{ridge + 4} {low - 5} {eave} {low - 5} Q{eave - 6} {low + 1} {eave - 14} {low} H{14 - eave} Q{6 - eave} {low + 1} {-eave} {low - 5}Z",
        fill=p.gradient((0, "#5f6a76"), (1, "#39414b")),
    )
    for i in range(-3, 4):
        out += p.line(i * ridge / 4.2, top + 2, i * (eave - 12) / 3.6, low - 2, "#2b323a", 1)
    for side in (-1, 1):
        out += p.path(f"M{side * ridge} {top} Q{side * (ridge + 4)} {low - 5} {side * eave} {low - 5}", stroke="#e9e5da", width=1.8)
    return out + p.line(-ridge, top, ridge, top, "#f0ece2", 3.4)


@concept(
    "seoktap",
    ko="석탑",
    en="seoktap, a Korean granite stone pagoda",
    en_plural="seoktap, Korean granite stone pagodas",
    romanised="seoktap",
    world="korean",
    category="place",
    setting="outdoor",
    label=("유적건조물", "종교신앙", "불교", "탑", "석탑"),
    counter_ko="기",
    look_alike="pagoda",
)
def seoktap(p: Pen) -> str:
    """A grey granite pagoda: a broad two-step base, three or five square storeys under thin flat roof stones, a small finial."""
    light, mid, dark = "#d8d6cf", "#b4b2ab", "#85847f"
    face = p.gradient((0, light), (0.6, mid), (1, dark), across=True)
    out = p.rect(-40, 37, 80, 5, dark) + p.rect(-34, 29, 68, 8, face) + p.rect(-37, 26, 74, 3.5, light)
    out += p.rect(-27, 13, 54, 13, face) + p.rect(-31, 10, 62, 3.5, light)
    for x in (-27, -2.5, 22):
        out += p.rect(x, 13, 5, 13, mid, stroke=dark, width=0.6)
    storeys = p.rng.choice((3, 5))
    step = 46 / storeys
    y = 10.0
    for i in range(storeys):
        body, roof = 20 - i * 26 / (2.4 * storeys), 33 - i * 32 / (2 * storeys)
        height = step * (0.62 if i == 0 else 0.48)
        out += p.rect(-body, y - height, 2 * body, height, face)
        y -= height
        thick = step * 0.48
        out += p.polygon([(-body, y + 0.6), (body, y + 0.6), (roof - 5, y - thick * 0.3), (5 - roof, y - thick * 0.3)], dark)
        out += p.path(
            f"M{-roof} {y - thick * 0.62} L{5 - roof} {y - thick * 0.2} H{roof - 5} L{roof} {y - thick * 0.62} L{body - 3} {y - thick} H{3 - body}Z",
            fill=light,
            stroke=mid,
            width=0.7,
        )
        y -= thick
    out += p.rect(-5, y - 3, 10, 3.6, mid) + p.ellipse(0, y - 5, 5, 3.4, light) + p.rect(-1.3, y - 13, 2.6, 9, mid) + p.ellipse(0, y - 10, 3.4, 1.8, light)
    return out


@concept(
    "cheomseongdae",
    ko="첨성대",
    en="Cheomseongdae, an ancient stone observatory",
    en_plural="Cheomseongdae, ancient stone observatories",
    romanised="Cheomseongdae",
    world="korean",
    category="place",
    setting="outdoor",
    label=("유적건조물", "과학기술", "과학시설", "첨성대"),
    counter_ko="기",
    look_alike="lighthouse",
)
def cheomseongdae(p: Pen) -> str:
    """A bottle of stacked stone rings, wide below and narrow above, one square window half way up, a square frame of beams on top."""
    seam, light = "#8d8066", "#e6dabd"
    stone = p.gradient((0, "#a3957a"), (0.3, light), (0.65, "#cfc1a1"), (1, "#8f8268"), across=True)
    out = p.rect(-36, 37, 72, 5, "#b3a68a", stroke=seam, width=0.8) + p.rect(-33, 32, 66, 5, "#d3c6a8", stroke=seam, width=0.8)
    out += p.path("M-29 32 C-32 10 -17 0 -14 -36 H14 C17 0 32 10 29 32 Q0 37 -29 32Z", fill=stone, stroke=seam, width=1)
    for i, y in enumerate(range(-29, 30, 6)):
        half = (14.7, 15.5, 16.6, 18, 19.9, 22.2, 24.7, 26.9, 28.5, 29.1)[i]
        out += p.path(f"M{-half} {y} Q0 {y + 4.5} {half} {y}", stroke=seam, width=1.1)
        for t in (-0.6, 0.05, 0.62):
            x = round((t + (0.2 if i % 2 else -0.1)) * half, 1)
            out += p.line(x, y + 2.2, x, y + 6.5, seam, 0.9)
    out += p.rect(-6.5, -9, 13, 13, "#2f2822", stroke="#f2e8d0", width=2)
    out += p.rect(-18, -41, 36, 6, light, stroke=seam, width=1) + p.rect(-15, -47, 30, 6, "#cabb99", stroke=seam, width=1)
    return out + p.rect(-19.5, -41, 6, 6, "#b7a98a", stroke=seam, width=0.8) + p.rect(13.5, -41, 6, 6, "#b7a98a", stroke=seam, width=0.8)


@concept(
    "lotte_tower",
    ko="롯데월드타워",
    en="Lotte World Tower, a very tall tapering glass skyscraper in Seoul",
    en_plural="Lotte World Towers",
    romanised="Rotdewoldeutawo",
    world="korean",
    category="place",
    setting="outdoor",
    label=("랜드마크", "롯데월드타워"),
    counter_ko="채",
    max_number=1,
    look_alike="office_tower",
)
def lotte_tower(p: Pen) -> str:
    """A slender glass tower that narrows in one soft curve to a crown cut by a slit; a bright seam runs down the middle."""
    glass = p.gradient((0, "#6fa6cb"), (0.35, "#cfeaf7"), (0.62, "#a5d0e8"), (1, "#5b8fb8"), across=True)
    out = p.rect(-36, 33, 72, 9, "#aebbc6") + p.rect(-36, 31, 72, 3, "#e6edf2")
    for i in range(9):
        out += p.rect(-33 + i * 7.6, 36, 4.4, 3.6, "#5d7f99")
    out += p.path("M-18 42 C-19 8 -15 -34 -6 -58 Q-2.4 -60 -2 -57 V-37 H2 V-57 Q2.4 -60 6 -58 C15 -34 19 8 18 42Z", fill=glass, stroke="#eaf6fc", width=1.2)
    for i in range(13):
        y = -32 + i * 5.6
        half = round(12.4 + 4.6 * (1 - (1 - i / 12) ** 2), 1)
        out += p.line(-half, y, half, y, "#7fb0d0", 0.9)
    for side in (-1, 1):
        out += p.path(f"M{side * 9} 41 C{side * 10} 8 {side * 8.5} -28 {side * 4.6} -54", stroke="#e4f4fb", width=1)
    return out + p.line(0, -36, 0, 41, "#ffffff", 2.6)


@concept(
    "n_tower",
    ko="N서울타워",
    en="N Seoul Tower, an observation tower on Namsan hill",
    en_plural="N Seoul Towers",
    romanised="Enseoultawo",
    world="korean",
    category="place",
    setting="outdoor",
    label=("랜드마크", "N서울타워"),
    counter_ko="개",
    max_number=1,
    look_alike="lighthouse",
)
def n_tower(p: Pen) -> str:
    """On a hill of green trees a slim pale shaft with a round observation deck and a tall red and white antenna."""
    pale, shadow, glass = "#f1eee6", "#b8b4ab", "#35526b"
    column = p.gradient((0, "#ffffff"), (0.5, pale), (1, shadow), across=True)
    out = p.polygon([(-6.5, 28), (6.5, 28), (4.5, -6), (-4.5, -6)], column)
    out += p.path("M-5 -1 L-17 -9 H17 L5 -1Z", fill=shadow) + p.rect(-21, -19, 42, 11, column, radius=4) + p.rect(-20, -16, 40, 5, glass, radius=2)
    out += p.rect(-16, -26, 32, 8, column, radius=3) + p.rect(-15, -24, 30, 4, glass, radius=1.5) + p.rect(-8, -30, 16, 5, pale, radius=2)
    for i, y in enumerate((-36, -42, -48, -54)):
        half = 4.2 - i * 0.7
        out += p.rect(-half, y, 2 * half, 6.4, "#d8362f" if i % 2 == 0 else "#ffffff")
    out += p.line(0, -54, 0, -59, "#d8362f", 1.8)
    out += p.path("M-50 42 Q-46 34 -34 30 Q-18 19 0 18 Q18 19 34 30 Q46 34 50 42Z", fill="#2f6f3d")
    for x, y, r in ((-38, 36, 7), (-27, 31, 7.5), (-15, 27, 7), (-3, 26, 6.5), (10, 26, 7), (22, 29, 7.5), (34, 34, 7.5)):
        out += p.ellipse(x + p.vary(-1, 1), y, r, r, "#4f9a52") + p.ellipse(x - 1.5, y - 2.4, r * 0.55, r * 0.5, "#74b968")
    for x in (-30, -14, 3, 19, 33):
        out += p.ellipse(x, 38, 9, 6, "#3b8348")
    return out + p.rect(-49, 39, 98, 3, "#2f6f3d", radius=1.5)


@concept(
    "dolhareubang",
    ko="돌하르방",
    en="dolhareubang, a Jeju basalt grandfather statue",
    en_plural="dolhareubang, Jeju basalt grandfather statues",
    romanised="dolhareubang",
    world="korean",
    category="place",
    setting="outdoor",
    label=("유적건조물", "종교신앙", "민간신앙", "돌하르방"),
    counter_ko="기",
    look_alike="statue",
)
def dolhareubang(p: Pen) -> str:
    """A squat man of dark porous basalt: a mushroom hat, bulging blank eyes, a broad nose, both hands on the belly."""
    edge, light, dark = "#a3a19f", "#8f8d8a", "#353436"
    stone = p.gradient((0, "#7b7977"), (0.5, "#605e5f"), (1, "#484749"), across=True)
    out = p.path("M-20 4 Q-31 6 -31 18 L-28 42 H28 L31 18 Q31 6 20 4Z", fill=stone, stroke=edge, width=1.6)
    out += p.path("M-22 -26 Q-27 -6 -23 6 Q-17 14 0 14 Q17 14 23 6 Q27 -6 22 -26Z", fill=stone, stroke=edge, width=1.6)
    out += p.path("M-29 -22 Q-31 -28 -21 -31 Q-20 -51 0 -51 Q20 -51 21 -31 Q31 -28 29 -22 Q0 -15 -29 -22Z", fill=stone, stroke=edge, width=1.6)
    out += p.path("M-21 -31 Q0 -25 21 -31", stroke=dark, width=1.8)
    for x in (-11.5, 11.5):
        out += p.ellipse(x, -8, 8.4, 7.2, dark) + p.ellipse(x, -8.4, 6.6, 5.6, p.gradient((0, "#cbc9c5"), (1, "#7e7c7a"), radial=True))
    out += p.path("M-2.6 -14 Q-3 -4 -8 2 Q-7 5.5 0 5.5 Q7 5.5 8 2 Q3 -4 2.6 -14Z", fill=light, stroke=dark, width=1.6)
    out += p.path("M-9 9.6 Q0 11.6 9 9.6", stroke=dark, width=2.2)
    for side, y in ((-1, 22), (1, 31)):
        out += p.path(f"M{side * 27} {y - 6} Q{side * 26} {y + 1} {side * 16} {y + 1} L{side * -3} {y}", stroke=dark, width=9)
        out += p.path(f"M{side * 27} {y - 6} Q{side * 26} {y + 1} {side * 16} {y + 1} L{side * -3} {y}", stroke=light, width=6.4)
        out += p.line(side * -4, y - 1.1, side * 4, y - 1.1, dark, 0.9) + p.line(side * -4, y + 1.1, side * 4, y + 1.1, dark, 0.9)
    for _ in range(12):
        out += p.ellipse(p.vary(-17, 17), p.rng.choice((p.vary(-46, -34), p.vary(37, 40))), 1.1, 0.9, dark)
    return out


@concept(
    "geobukseon",
    ko="거북선",
    en="geobukseon, a Korean turtle ship",
    en_plural="geobukseon, Korean turtle ships",
    romanised="geobukseon",
    world="korean",
    category="place",
    setting="outdoor",
    label=("랜드마크", "거북선"),
    counter_ko="척",
    look_alike="boat",
)
def geobukseon(p: Pen) -> str:
    """A warship like a turtle: brown hull and oars, a domed shell of plates with iron spikes, a dragon's head at the bow."""
    wood, plank, rim, seam = "#9a6234", "#6e4220", "#a9c2a6", "#2f4638"
    out = p.rect(-50, 34, 100, 8, p.gradient((0, "#5bb4d6"), (1, "#2b7fa8")), radius=4) + p.line(44, 4, 44, -32, plank, 2.2)
    out += p.path("M44 -32 L27 -27 L44 -21Z", fill="#d8362f")
    out += p.path("M-32 12 L-26 35 Q-24 38 -20 38 H32 Q38 36 40 29 L47 6Z", fill=wood, stroke=plank, width=1.4) + p.line(-28, 25, 41, 25, plank, 1.4)
    for x in (-12, 2, 16, 30):
        out += p.line(x, 22, x - 9, 40, "#e0b475", 2.6)
    for x, y in ((-17, -9), (-9, -17), (1, -21), (11, -21), (21, -18), (31, -12)):
        out += p.path(f"M{x - 3.4} {y + 3} L{x + (x - 6) * 0.12:.1f} {y - 11} L{x + 3.4} {y + 3}Z", fill="#e3e6e4", stroke="#6f7673", width=0.8)
    out += p.path("M-28 5 Q-24 -22 6 -22 Q38 -22 45 5Z", fill=p.gradient((0, "#7a9e80"), (1, "#45624d")), stroke=rim, width=1.6)
    for x, y in ((-6, -12), (7, -12), (20, -12), (-12.5, -2), (0.5, -2), (13.5, -2), (26.5, -2)):
        out += p.polygon([(x - 6, y - 3.6), (x, y - 7), (x + 6, y - 3.6), (x + 6, y + 3.2), (x, y + 6.6), (x - 6, y + 3.2)], "none", stroke=seam, width=1.5)
    out += p.path("M-34 3 H48 L46 14 H-32Z", fill="#b67a42", stroke=plank, width=1.2)
    for x in (-16, -2, 12, 26, 38):
        out += p.ellipse(x, 8.5, 3.2, 3.2, "#2b1c14")
    return out + _dragon_head(p)


def _dragon_head(p: Pen) -> str:
    """The bow: a golden dragon with a green mane, two horns, an open red mouth with teeth and a bulging eye."""
    gold, edge, mane = "#e3ab30", "#86560f", "#2f8a5b"
    out = p.path("M-24 -27 L-12 -26 L-18 -19 L-10 -14 L-18 -9 L-12 -2 L-26 2Z", fill=mane, stroke="#8fd0a6", width=0.9)
    out += p.path("M-27 -27 Q-22 -38 -12 -39", stroke=edge, width=4.6) + p.path("M-27 -27 Q-22 -38 -12 -39", stroke="#f4e6bd", width=3)
    out += p.path("M-36 -12 Q-34 4 -32 14 H-18 Q-15 -4 -18 -16Z", fill=gold, stroke=edge, width=1.4)
    out += p.path("M-49 -16 L-30 -20 L-46 -6Z", fill="#c4302a")
    out += p.path(
        "M-17 -14 Q-16 -32 -29 -31 Q-34 -31 -37 -26 L-44 -26 Q-46 -29 -49 -27 Q-51 -22 -50 -16 L-33 -17 Q-33 -12 -47 -9 Q-47 -4 -41 -4 Q-26 -4 -17 -14Z",
        fill=gold,
        stroke=edge,
        width=1.4,
    )
    for x in (-47, -42.5, -38):
        out += p.polygon([(x - 1.8, -16.4), (x + 1.8, -16.6), (x, -12.4)], "#ffffff")
    for y in (-4, 2, 8):
        out += p.path(f"M{-34 + (y + 4) * 0.2:.1f} {y} Q-26 {y + 3} -19 {y - 1}", stroke=edge, width=1)
    out += p.ellipse(-31, -24.5, 4, 3.6, "#ffffff", stroke=edge, width=1.2)
    return out + p.ellipse(-32, -24.5, 1.7, 1.9, "#22150c") + p.ellipse(-47, -23.5, 1.2, 1, edge)
