"""The general world, out of doors: what any model has seen, the look-alikes of Korean places and dress among them."""

from .concepts import concept
from .scene import Pen

PAINT = ("red", "yellow", "green", "blue", "purple", "pink", "white", "black")


def _outline(p: Pen) -> str:
    """A darker shade of the main colour; grey round a black thing, so that it shows at night."""
    return "#8f8f99" if max(int(p.colour[i : i + 2], 16) for i in (1, 3, 5)) < 90 else p.shade(p.colour, 0.68)


@concept("car", ko="자동차", en="car", world="general", category="things", setting="outdoor", colours=PAINT, counter_ko="대")
def car(p: Pen) -> str:
    """A car from the side: painted body, pale windows, two dark wheels."""
    body, dark = p.colour, p.shade(p.colour, 0.75)
    glass = "#cfe8f5"
    out = p.path("M-44 30 Q-46 12 -34 10 L-24 8 Q-16 -10 -4 -10 L14 -10 Q24 -10 32 8 L40 11 Q47 14 45 30Z", fill=body, stroke=dark, width=1.5)
    out += p.path("M-18 8 Q-12 -5 -4 -5 L3 -5 L3 8Z", fill=glass) + p.path("M7 8 L7 -5 L13 -5 Q19 -5 25 8Z", fill=glass)
    out += p.ellipse(42, 18, 2.6, 3.4, "#ffe9a0") + p.ellipse(-43, 18, 2, 3, "#e2483c")
    out += p.line(5, 10, 5, 27, dark, 1.4) + p.line(9, 14, 14, 14, dark, 1.8)
    for x in (-25, 25):
        out += p.ellipse(x, 31, 11, 11, "#26262b") + p.ellipse(x, 31, 5, 5, "#c9ccd1")
    return out


@concept("house", ko="집", en="house", world="general", category="things", setting="outdoor", colours=PAINT[:-1], counter_ko="채")
def house(p: Pen) -> str:
    """A western house: painted walls, a steep plain gable roof, a brick chimney, a door and two windows."""
    wall, trim, roof = p.colour, "#fbf8f0", "#5b4238"
    out = p.rect(17, -40, 11, 26, "#a9553d") + p.rect(15, -43, 15, 5, "#7d3b2b")
    out += p.polygon([(-36, 42), (-36, -4), (0, -38), (36, -4), (36, 42)], wall, stroke=p.shade(wall, 0.75), width=1.4)
    out += p.path("M-46 2 L0 -41 L46 2", stroke="#8d6f61", width=10) + p.path("M-46 2 L0 -41 L46 2", stroke=roof, width=7.5)
    out += p.ellipse(0, -14, 6, 6, "#bfe3f5", stroke=trim, width=2.2)
    for x in (-29, 12):
        out += p.rect(x, 8, 17, 16, "#bfe3f5", stroke=trim, width=2.6)
        out += p.line(x + 8.5, 8, x + 8.5, 24, trim, 1.6) + p.line(x, 16, x + 17, 16, trim, 1.6)
    out += p.rect(-7, 14, 14, 28, "#6b4326", stroke=trim, width=2.4) + p.ellipse(3.5, 29, 1.5, 1.5, "#f3d36b")
    return out


@concept("castle", ko="성", en="castle", world="general", category="things", setting="outdoor", counter_ko="채")
def castle(p: Pen) -> str:
    """A European castle: a battlemented wall between round towers with pointed blue roofs and a taller keep behind."""
    stone, dark = p.gradient((0, "#ece7dd"), (0.6, "#cfc8bb"), (1, "#9d968b"), across=True), "#8f887d"
    out = p.rect(-13, -28, 26, 50, stone) + p.polygon([(-17, -26), (17, -26), (0, -54)], "#3d62b0", stroke="#7f9fe0", width=1)
    out += p.line(0, -53, 0, -60, dark, 1.4) + p.polygon([(0, -60), (11, -57), (0, -54)], "#d8322f")
    out += p.rect(-4, -18, 8, 12, "#3c3a45", radius=4)
    out += p.rect(-28, 8, 56, 34, "#c4bdb0")
    for i in range(5):
        out += p.rect(-26 + i * 11, 2, 7, 7, "#c4bdb0")
    for x in (-34.5, 34.5):
        out += p.rect(x - 11, -12, 22, 54, stone) + p.rect(x - 13.5, -14, 27, 6, "#b3ab9e")
        out += p.polygon([(x - 15, -14), (x + 15, -14), (x, -44)], "#3d62b0", stroke="#7f9fe0", width=1)
        out += p.rect(x - 3, 2, 6, 11, "#3c3a45", radius=3)
    out += p.path("M-11 42 V28 A11 11 0 0 1 11 28 V42Z", fill="#5b3a22", stroke="#efe9dd", width=2)
    for x in (-4, 4):
        out += p.line(x, 19, x, 41, "#3a2414", 1.4)
    return out


@concept("pagoda", ko="목탑", en="wooden pagoda", world="general", category="things", setting="outdoor", counter_ko="기")
def pagoda(p: Pen) -> str:
    """A Japanese wooden pagoda: three vermilion storeys under very wide sweeping roofs, and a long golden spire."""
    red, dark, roof = "#cf4127", "#8a2718", "#4b3a36"
    out = p.rect(-34, 37, 68, 5, "#a89f92")
    for y, half, eave in ((37, 24, 49), (14, 19, 42), (-9, 14, 35)):
        out += p.rect(-half, y - 16, 2 * half, 16, red) + p.rect(-half * 0.45, y - 12, half * 0.9, 12, "#f3e3c3")
        for x in (-half, -half * 0.5 - 1.5, half * 0.5 - 1.5, half - 3.5):
            out += p.rect(round(x, 1), y - 16, 3.5, 16, dark)
        out += p.rect(-half - 3, y - 1, 2 * half + 6, 3, "#e06a3f")
        top, low = y - 24, y - 12
        out += p.path(
            f"M{-eave} {low - 4} Q{-half} {low - 5} {-half + 5} {top} H{half - 5} Q{half} {low - 5} {eave} {low - 4} L{eave - 5} {low + 1} H{5 - eave}Z",
            fill=roof,
            stroke="#b08d78",
            width=1.2,
        )
    out += p.polygon([(-9, -33), (9, -33), (0, -39)], roof) + p.line(0, -36, 0, -59, "#e9b93a", 2.6)
    for i in range(5):
        out += p.ellipse(0, -41 - i * 3.2, 4.6 - i * 0.5, 1.3, "#e9b93a")
    return out


@concept("lighthouse", ko="등대", en="lighthouse", world="general", category="things", setting="outdoor", counter_ko="기")
def lighthouse(p: Pen) -> str:
    """A tapering tower in broad red and white stripes, a gallery, a glowing lantern room under a red cap, rocks at the foot."""
    red, white = "#d63a30", "#f7f4ec"
    out = ""
    for i in range(5):
        low, high = 20 - i * 1.9, 20 - (i + 1) * 1.9
        y = 36 - i * 12
        out += p.polygon([(-low, y), (low, y), (high, y - 12.3), (-high, y - 12.3)], red if i % 2 == 0 else white)
    out += p.polygon([(6, 36), (20, 36), (10.5, -24), (4, -24)], "#00000026")
    out += p.rect(-16, -28, 32, 5, "#33363d") + p.rect(-9, -42, 18, 14, "#ffe37a", stroke="#33363d", width=1.6) + p.line(0, -42, 0, -28, "#33363d", 1.4)
    out += p.path("M-13 -41 Q-10 -54 0 -55 Q10 -54 13 -41Z", fill=red, stroke="#f2a79f", width=0.9) + p.ellipse(0, -56, 2.4, 2.4, red)
    out += p.rect(-4, 2, 8, 9, "#33414f", radius=4) + p.path("M-5.5 37 V29 A5.5 5.5 0 0 1 5.5 29 V37Z", fill="#6b4326")
    for x, r in ((-28, 11), (-12, 9), (14, 10), (29, 11)):
        out += p.path(
            f"M{x - r - 4} 42 Q{x - r} {40 - r * 0.8} {x} {40 - r * 0.8} Q{x + r} {40 - r * 0.7} {x + r + 4} 42Z",
            fill="#77736d",
            stroke="#a09b93",
            width=0.8,
        )
    return out


@concept("office_tower", ko="빌딩", en="office tower", world="general", category="things", setting="outdoor", counter_ko="채")
def office_tower(p: Pen) -> str:
    """A plain block with a flat roof and a regular grid of square windows."""
    wall, side = "#cfae84", "#9c7f5b"
    out = p.polygon([(18, -52), (30, -47), (30, 42), (18, 42)], side) + p.rect(-28, -52, 48, 94, wall)
    out += p.rect(-29, -55, 50, 5, "#e6cda9") + p.rect(-14, -61, 14, 7, side)
    for row in range(7):
        for column in range(4):
            lit = p.rng.random() < 0.2
            out += p.rect(-23.5 + column * 10.6, -45 + row * 10.6, 7.2, 6.8, "#ffe08a" if lit else "#3d5a73")
    return out + p.rect(-14, 31, 20, 11, "#33414f") + p.rect(-17, 28, 26, 3, "#e6cda9") + p.line(-4, 32, -4, 41, "#cfae84", 1.2)


@concept("statue", ko="동상", en="statue", world="general", category="things", setting="outdoor", counter_ko="개")
def statue(p: Pen) -> str:
    """A white classical figure in a draped robe, one arm raised, on a square plinth."""
    white, fold = "#f6f4ee", "#b9b6ae"
    marble = p.gradient((0, "#ffffff"), (0.6, "#eceae3"), (1, "#bdbab2"), across=True)
    out = p.rect(-26, 36, 52, 6, "#a9a59c") + p.rect(-20, 20, 40, 17, "#cbc7bd") + p.rect(-24, 16, 48, 5, "#dedad1") + p.rect(-12, 25, 24, 6, "#9c978d")
    out += p.path("M9 -22 Q20 -30 20 -48", stroke=fold, width=8.6) + p.path("M9 -22 Q20 -30 20 -48", stroke=white, width=7) + p.ellipse(20, -51, 4.4, 5, white)
    out += p.path("M-14 -20 Q-14 -27 -4 -28 H4 Q14 -27 13 -18 Q10 -8 12 0 L17 16 H-16 L-12 0 Q-12 -8 -14 -20Z", fill=marble, stroke=fold, width=1)
    out += p.path("M-12 -22 Q-22 -12 -18 -4 L-9 3", stroke=fold, width=8.2) + p.path("M-12 -22 Q-22 -12 -18 -4 L-9 3", stroke=white, width=6.6)
    out += p.rect(-4, -34, 8, 9, "#dcd9d1") + p.ellipse(0, -41, 8, 9.5, marble, stroke=fold, width=1)
    out += p.path("M-8.5 -40 Q-9 -52 0 -52 Q9 -52 8.5 -40 Q4 -46 0 -46 Q-4 -46 -8.5 -40Z", fill="#cfccc3")
    for d in ("M12 -24 Q2 -6 -11 2", "M-4 0 L-8 15", "M3 -4 L2 15", "M8 -2 L11 15"):
        out += p.path(d, stroke=fold, width=1.7)
    return out


@concept("boat", ko="배", en="sailing boat", world="general", category="things", setting="outdoor", colours=PAINT[:-1], counter_ko="척")
def boat(p: Pen) -> str:
    """A small wooden sailing boat on a strip of water; the two triangular sails have the colour."""
    sail, edge = p.colour, p.shade(p.colour, 0.78)
    out = p.rect(-48, 34, 96, 8, p.gradient((0, "#5bb4d6"), (1, "#2b7fa8")), radius=4)
    out += p.line(-2, 20, -2, -56, "#6b4a2b", 3.2)
    out += p.path("M3 -54 Q34 -20 40 12 H3Z", fill=sail, stroke=edge, width=1.6)
    out += p.path("M-7 -46 Q-30 -14 -36 12 H-7Z", fill=p.shade(sail, 1.12), stroke=edge, width=1.6)
    out += p.path("M3 -16 Q18 -14 31 -14", stroke=edge, width=1.2)
    out += p.path("M-44 18 H46 Q42 36 30 38 H-28 Q-40 36 -44 18Z", fill="#a5713f", stroke="#6f4824", width=1.4)
    out += p.path("M-43.5 19 H45.5 L44 24 H-42Z", fill="#f0e2c6")
    return out + p.path("M-46 37 q6 -4 12 0 t12 0 t12 0 t12 0 t12 0 t12 0 t12 0 t8 0", stroke="#bfe3f1", width=1.8)


@concept("tree", ko="나무", en="tree", world="general", category="things", setting="outdoor", counter_ko="그루")
def tree(p: Pen) -> str:
    """A broad-leaved tree: a brown forked trunk and a big round green crown."""
    out = p.path("M-8 42 Q-5 26 -6 8 H6 Q5 26 9 42Z", fill=p.gradient((0, "#8a5a33"), (1, "#6b4224"), across=True))
    out += p.path("M0 18 L-15 2", stroke="#7a4e2b", width=5) + p.path("M1 16 L15 0", stroke="#7a4e2b", width=5)
    for x, y, r in ((-24, -8, 18), (24, -8, 18), (0, -2, 18), (-17, -26, 18), (17, -26, 18), (0, -30, 20)):
        out += p.ellipse(x, y, r + p.vary(-1, 1), r, "#3e8f43")
    for x, y, r in ((-16, -24, 12), (8, -33, 13), (18, -14, 10), (-20, -7, 8)):
        out += p.ellipse(x, y, r, r * 0.85, "#62b252")
    return out


@concept(
    "flower",
    ko="꽃",
    en="flower",
    world="general",
    category="things",
    setting="outdoor",
    colours=("red", "yellow", "blue", "purple", "pink", "white"),
    counter_ko="송이",
)
def flower(p: Pen) -> str:
    """One big flower seen from the front: round petals, a brown centre, a green stem with two leaves."""
    stem, edge = "#3d9a45", p.shade(p.colour, 0.75)
    out = p.path("M0 0 Q3 22 0 42", stroke=stem, width=5)
    out += p.path("M1 34 Q10 12 34 14 Q28 34 1 34Z", fill="#57b352", stroke="#2f7c38", width=1.2)
    out += p.path("M0 38 Q-8 18 -31 21 Q-24 38 0 38Z", fill="#57b352", stroke="#2f7c38", width=1.2)
    start = p.vary(0, 20)
    for i in range(8):
        out += f'<g transform="rotate({start + i * 45} 0 -17)">' + p.ellipse(0, -35, 10.5, 14.5, p.colour, stroke=edge, width=1.4) + "</g>"
    return out + p.ellipse(0, -17, 11, 11, "#7a4a1c", stroke="#e0a23a", width=2.6)


@concept("bicycle", ko="자전거", en="bicycle", world="general", category="things", setting="outdoor", colours=PAINT, counter_ko="대")
def bicycle(p: Pen) -> str:
    """A bicycle from the side: two big wheels, a thick painted frame, saddle and handlebar."""
    rim = _outline(p)
    out = ""
    for x in (-28, 28):
        out += p.ellipse(x, 22, 18.5, 18.5, "#ffffff30", stroke="#c9ccd1", width=4.4) + p.ellipse(x, 22, 18.5, 18.5, "none", stroke="#2b2b30", width=3)
        for dx, dy in ((0, 17), (17, 0), (12, 12), (12, -12)):
            out += p.line(x - dx, 22 - dy, x + dx, 22 + dy, "#d5d8dc", 0.8)
    frame = "M-28 22 L-13 -10 H18 L-2 22 H-28 M-2 22 L-15 -16 M28 22 L16 -20"
    out += p.path(frame, stroke=rim, width=8) + p.path(frame, stroke=p.colour, width=5)
    out += p.path("M16 -20 L14 -27 H24 Q30 -26 28 -19", stroke="#d5d8dc", width=3.4)
    out += p.path("M-25 -20 Q-16 -23 -5 -19 Q-8 -14 -15 -15 Q-24 -14 -25 -20Z", fill="#4a3428", stroke="#8d6f5c", width=1)
    return out + p.ellipse(-2, 22, 5, 5, "#d5d8dc", stroke="#6b6f75", width=1.4) + p.line(-2, 22, 4, 34, "#6b6f75", 2.4) + p.line(0, 34, 9, 34, "#3a3a40", 3)


@concept("cat", ko="고양이", en="cat", world="general", category="things", setting="outdoor", colours=("black", "white", "yellow"), counter_ko="마리")
def cat(p: Pen) -> str:
    """A cat sitting upright, seen from the front: pointed ears, green eyes, whiskers, the tail curled to one side."""
    fur, edge = p.colour, _outline(p)
    out = p.path("M18 37 Q44 38 42 18 Q41 8 34 8", stroke=edge, width=10.5) + p.path("M18 37 Q44 38 42 18 Q41 8 34 8", stroke=fur, width=8)
    out += p.path("M-14 -6 Q-30 20 -25 36 Q-23 42 -14 42 H14 Q23 42 25 36 Q30 20 14 -6Z", fill=fur, stroke=edge, width=1.8)
    out += p.path("M-23 -20 L-25 -47 L-7 -35 Q0 -37 7 -35 L25 -47 L23 -20 Q25 4 0 4 Q-25 4 -23 -20Z", fill=fur, stroke=edge, width=1.8)
    out += p.path("M-20 -29 L-21 -40 L-12 -34Z", fill="#f0a5a8") + p.path("M20 -29 L21 -40 L12 -34Z", fill="#f0a5a8")
    for x in (-10, 10):
        out += p.ellipse(x, -17, 5, 5.6, "#a9d84e", stroke=edge, width=1) + p.ellipse(x, -17, 1.8, 4.6, "#1b1b1f")
        out += p.ellipse(x * 0.8, 38, 7, 4.6, fur, stroke=edge, width=1.4)
    out += p.polygon([(-3, -9), (3, -9), (0, -5)], "#ee8790") + p.path("M-5 -3 Q-2 0 0 -4 Q2 0 5 -3", stroke=edge, width=1.5)
    for side in (-1, 1):
        out += p.line(side * 10, -6, side * 30, -9, "#d9d9dd", 1) + p.line(side * 10, -4, side * 30, -1, "#d9d9dd", 1)
    return out + p.line(0, 12, 0, 36, edge, 1.6)
