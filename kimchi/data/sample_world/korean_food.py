"""Korean food, labelled as AIHub data set 79 labels it: (category, dish)."""

import math

from .concepts import concept
from .scene import Pen


@concept(
    "ramyeon", ko="라면", en="ramyeon, spicy instant noodles in a brass pot", en_plural="pots of ramyeon, spicy instant noodles", romanised="ramyeon",
    world="korean", category="food", setting="table", label=("면", "라면"), counter_ko="그릇", look_alike="ramen",
)  # fmt: skip
def ramyeon(p: Pen) -> str:
    """A yellow aluminium pot with two ear handles, red broth, curly noodles, an egg and spring onion."""
    brass, dark = "#e8b93a", "#a97a16"
    out = p.path("M-47 6 q-8 2 -2 9 l8 1Z", fill=dark) + p.path("M47 6 q8 2 2 9 l-8 1Z", fill=dark)
    out += p.path("M-40 2 L-36 36 Q-35 42 -28 42 L28 42 Q35 42 36 36 L40 2Z", fill=p.gradient((0, brass), (0.5, "#f8dd7c"), (1, dark), across=True))
    out += p.ellipse(0, 2, 41, 15, "#c9971f") + p.ellipse(0, 2, 37, 12.5, p.gradient((0, "#d9421c"), (1, "#b32a10")))
    for i in range(6):
        y = -5 + i * 2.4
        out += p.path(f"M-27 {y} q4.5 -4 9 0 t9 0 t9 0 t9 0 t9 0 t9 0", stroke="#f7cf63", width=2.2)
    out += p.ellipse(8, 0, 11, 6, "#fffaf0") + p.ellipse(9, -0.5, 5, 3.4, "#f6a81c")
    for _ in range(6):
        out += p.ellipse(p.vary(-24, 24), p.vary(-4, 9), 2.4, 1.6, "#4fa83d")
    return out


@concept(
    "baechu_kimchi",
    ko="배추김치",
    en="baechu-kimchi, spicy fermented napa cabbage",
    en_plural="plates of baechu-kimchi, spicy fermented napa cabbage",
    romanised="baechu-kimchi",
    world="korean",
    category="food",
    setting="table",
    label=("김치", "배추김치"),
    counter_ko="접시",
    look_alike="cabbage",
)
def baechu_kimchi(p: Pen) -> str:
    """A red quarter of napa cabbage lying on a white oval plate: white root and ribs at the left, frilly leaves at the right."""
    out = p.ellipse(0, 22, 48, 20, "#fbfaf6", stroke="#7d95ab", width=2.2) + p.ellipse(0, 20, 40, 14.5, "#dfe3e6")
    red = p.gradient((0, "#f6dca8"), (0.22, "#ee8a4a"), (0.45, "#d92f1a"), (1, "#b01a10"), across=True)
    leaves = (
        "M-40 10 Q-26 -26 8 -26 q8 -5 12 1 q9 -3 11 5 q8 2 5 9 Q10 -4 -40 10Z",
        "M-41 12 Q-20 -14 14 -13 q8 -6 13 1 q9 -2 11 6 q8 4 3 11 Q4 8 -41 12Z",
        "M-42 15 Q-18 -2 16 1 q9 -4 13 3 q9 0 9 8 q4 7 -5 10 Q0 18 -42 15Z",
        "M-41 17 Q-14 10 14 13 q9 -2 12 5 q8 2 5 9 q-2 6 -11 5 Q-22 34 -41 17Z",
    )
    for i, d in enumerate(leaves):
        out += p.path(d, fill=red, stroke="#7d110d", width=1.8)
        x, y = 2 + p.vary(-3, 3), (-19, -7, 7, 21)[i]
        out += p.path(f"M-37 {12 + i} Q-20 {y + 3} {x} {y - 1} Q-16 {y + 9} -37 {14 + i}Z", fill="#fdf3d6")
        out += p.path(f"M{x + 9} {y} q7 -3 12 2", stroke="#f4713f", width=2.4)
    out += p.path("M-37 9 Q-48 10 -44 17 Q-41 21 -35 17Z", fill="#f7e9c0", stroke="#c9a567", width=1.4)
    for _ in range(3):
        out += p.path(f"M{p.vary(-12, 24)} {p.vary(-18, 22)} l6 -3", stroke="#55a83c", width=3)
    return out


@concept(
    "bibimbap",
    ko="비빔밥",
    en="bibimbap, rice with vegetables and an egg in a stone bowl",
    en_plural="bowls of bibimbap, rice with vegetables and an egg",
    romanised="bibimbap",
    world="korean",
    category="food",
    setting="table",
    label=("밥", "비빔밥"),
    counter_ko="그릇",
    look_alike="salad",
)
def bibimbap(p: Pen) -> str:
    """A black stone bowl on a wooden stand; sectors of coloured vegetables around a fried egg and red gochujang."""
    out = p.path("M-42 34 L42 34 L37 42 L-37 42Z", fill="#8a5a2e", stroke="#5e3a1a", width=1.2)
    out += p.path("M-46 0 Q-44 38 -22 38 L22 38 Q44 38 46 0Z", fill=p.gradient((0, "#4b4c52"), (0.5, "#2b2c31"), (1, "#18191c")))
    out += p.ellipse(0, -2, 47, 25, "#3a3b41") + p.ellipse(0, -2, 42, 21, "#1d1e21")
    turn = p.vary(-12, 12)
    tones = ("#3f8f35", "#f2802a", "#f6e7c2", "#7a4a2a", "#8cc63e", "#f5c93a")
    for i, tone in enumerate(tones):
        a, b = (math.radians(turn + 360 / len(tones) * k) for k in (i, i + 1))
        points = [(round(40 * math.cos(t), 1), round(-4 + 20 * math.sin(t), 1)) for t in (a, (3 * a + b) / 4, (a + b) / 2, (a + 3 * b) / 4, b)]
        out += p.polygon([(0, -4), *points], tone, stroke=p.shade(tone, 0.8), width=1)
    out += p.path("M-18 -5 Q-18 -15 -4 -14 Q8 -18 17 -10 Q22 -2 13 3 Q4 9 -7 5 Q-17 4 -18 -5Z", fill="#fffdf6", stroke="#d9cdb2", width=1.2)
    out += p.ellipse(0, -6, 9, 6.5, p.gradient((0, "#ffc93c"), (1, "#f29a12"))) + p.ellipse(-3, -8.5, 2.6, 1.6, "#fff3c0")
    out += p.path("M8 6 Q18 0 24 6 Q27 12 17 13 Q8 13 8 6Z", fill="#c4160f") + p.path("M12 6 q5 -3 8 0", stroke="#f26a55", width=1.8)
    return out


@concept(
    "tteokbokki",
    ko="떡볶이",
    en="tteokbokki, rice cakes in red chilli sauce",
    en_plural="plates of tteokbokki, rice cakes in red chilli sauce",
    romanised="tteokbokki",
    world="korean",
    category="food",
    setting="table",
    label=("볶음", "떡볶이"),
    counter_ko="접시",
    look_alike="pasta",
)
def tteokbokki(p: Pen) -> str:
    """The speckled green plate of a snack bar, bright red sauce, thick glossy rice cake cylinders, spring onion."""
    out = p.path("M-47 12 Q-40 42 -18 42 L18 42 Q40 42 47 12Z", fill="#5f9d74") + p.ellipse(0, 10, 47, 25, "#8cc7a0", stroke="#4b8560", width=1.6)
    for _ in range(5):
        out += p.ellipse(p.vary(-30, 30), p.vary(37, 40), 1.2, 0.8, "#eef7ee")
    out += p.ellipse(0, 8, 40, 19.5, p.gradient((0, "#e8321a"), (1, "#b8160c")))
    for x, y, turn in ((-18, -8, 12), (14, -9, -14), (-24, 6, -18), (2, 0, 6), (26, 4, 22), (-10, 15, 10), (15, 15, -12)):
        lean = turn + p.vary(-6, 6)
        out += f'<g transform="translate({x} {y}) rotate({lean})">'
        out += p.rect(-16, -5.5, 32, 11, p.gradient((0, "#ff7a45"), (0.5, "#ee4a22"), (1, "#b81d0c")), stroke="#8e1208", width=1.2, radius=5)
        out += p.ellipse(13.5, 0, 3, 5, "#ffd9b8") + p.line(-10, -2.4, 6, -2.4, "#ffc7a6", 1.8) + "</g>"
    for x in (-6, 20, -28):
        out += p.path(f"M{x + p.vary(-3, 3)} {p.vary(-4, 10)} l5 -3", stroke="#57a93c", width=3)
    return out


@concept(
    "gimbap",
    ko="김밥",
    en="gimbap, sliced seaweed rice roll",
    en_plural="rolls of gimbap, sliced seaweed rice rolls",
    romanised="gimbap",
    world="korean",
    category="food",
    setting="table",
    label=("밥", "김밥"),
    counter_ko="줄",
    look_alike="sushi",
)
def gimbap(p: Pen) -> str:
    """Thick slices in two tiers on a white plate: black seaweed rim, white rice, a ring of colourful fillings."""
    out = p.ellipse(0, 31, 48, 11, "#fdfcf8", stroke="#9fb3c4", width=2)
    for x, y in ((-15, -10), (15, -10), (-31, 15), (0, 15), (31, 15)):
        out += p.path(f"M{x - 16.5} {y} l2 -7 Q{x} {y - 25} {x + 14.5} {y - 7} l2 7Z", fill="#2c3a2e")
        out += p.ellipse(x, y, 16.5, 16.5, "#16201a") + p.ellipse(x, y, 13.6, 13.6, "#fbf9f1")
        turn = p.vary(-14, 14)
        out += f'<g transform="rotate({turn} {x} {y})">' + p.rect(x - 7, y - 8, 7, 7, "#ffd21f", radius=1)
        out += p.rect(x + 0.5, y - 7.5, 7, 6.5, "#f4742b", radius=1)
        out += p.rect(x - 8, y, 7.5, 6.5, "#f08f9c", radius=1) + p.ellipse(x + 4, y + 4, 4.6, 4.4, "#2f8f3a") + "</g>"
    return out


@concept(
    "songpyeon",
    ko="송편",
    en="songpyeon, half-moon rice cakes on pine needles",
    en_plural="plates of songpyeon, half-moon rice cakes on pine needles",
    romanised="songpyeon",
    world="korean",
    category="food",
    setting="table",
    label=("떡", "송편"),
    counter_ko="접시",
    look_alike="dumpling",
)
def songpyeon(p: Pen) -> str:
    """Half-moon rice cakes, white, pink and green, with a crimped round edge, on dark pine needles on a white plate."""
    out = p.path("M-47 16 Q-40 42 -16 42 L16 42 Q40 42 47 16Z", fill="#c9ccd0") + p.ellipse(0, 14, 48, 24, "#fbfaf6", stroke="#a7adb5", width=1.8)
    needles = ""
    for i in range(18):
        t = math.radians(20 * i + p.vary(-6, 6))
        reach = p.vary(1.0, 1.16)
        x, y = round(42 * math.cos(t) * reach, 1), round(10 + 22 * math.sin(t) * reach, 1)
        needles += f"M{round(x * 0.5, 1)} {round(10 + (y - 10) * 0.4, 1)} L{x} {y} "
    out += p.ellipse(0, 11, 38, 19, "#1d5232") + p.path(needles, stroke="#23663a", width=3)
    pink, white, green = ("#f6b3c5", "#c4637f"), ("#fdfbf4", "#b3a68c"), ("#a3c572", "#5b7f38")
    for x, y, tone, edge in (
        (-15, -4, *pink), (16, -5, *white), (-20, 12, *white), (20, 12, *green), (0, 25, *pink),
    ):  # fmt: skip
        out += f'<g transform="translate({x} {y}) rotate({p.vary(-9, 9)})">'
        out += p.path(
            "M-19 6 Q-18 -12 0 -12 Q18 -12 19 6 Q0 11 -19 6Z",
            fill=p.gradient((0, p.shade(tone, 1.4)), (0.5, tone), (1, p.shade(tone, 0.9))),
            stroke=edge,
            width=1.6,
        )
        out += p.path("M-14 0 Q-11 -7.5 0 -7.5 Q11 -7.5 14 0", stroke=edge, width=1.3) + "</g>"
    return out


@concept(
    "samgyetang",
    ko="삼계탕",
    en="samgyetang, whole chicken and ginseng soup in a black earthenware pot",
    romanised="samgyetang",
    en_plural="pots of samgyetang, whole chicken and ginseng soup",
    world="korean",
    category="food",
    setting="table",
    label=("탕", "삼계탕"),
    counter_ko="그릇",
    look_alike="soup",
)
def samgyetang(p: Pen) -> str:
    """A black earthenware pot of milky broth; a whole small pale chicken with crossed drumsticks, jujubes and spring onion."""
    out = p.ellipse(-45, 14, 5, 5, "#222226") + p.ellipse(45, 14, 5, 5, "#222226")
    out += p.path("M-45 4 Q-47 36 -28 42 L28 42 Q47 36 45 4Z", fill=p.gradient((0, "#17171a"), (0.3, "#4a464a"), (1, "#141416"), across=True))
    out += p.ellipse(0, 0, 47, 24, "#37343a") + p.ellipse(0, 0, 42, 20, p.gradient((0, "#fffbea"), (1, "#f3e6c2")))
    skin, edge = p.gradient((0, "#fff0cf"), (0.6, "#f6d9a2"), (1, "#dcae6c")), "#a8763a"
    out += p.path("M-27 -2 Q-30 -26 0 -27 Q30 -26 27 -2 Q16 8 0 8 Q-16 8 -27 -2Z", fill=skin, stroke=edge, width=1.6)
    out += p.path("M0 -24 Q-2 -12 0 2", stroke="#d9ab6a", width=2.2) + p.path("M-15 -19 Q-10 -23 -5 -23.5", stroke="#fffdf4", width=3)
    tip = p.vary(-2, 2)
    for s in (-1, 1):
        out += p.line(s * 30, -20, s * 37, -28 + tip, edge, 7) + p.line(s * 30, -20, s * 37, -28 + tip, "#fffdf4", 4.4)
        out += p.ellipse(s * 39, -27 + tip, 4, 3.6, "#fffdf4", stroke=edge, width=1.3) + p.ellipse(s * 35, -31 + tip, 4, 3.6, "#fffdf4", stroke=edge, width=1.3)
        out += p.path(f"M{s * 28} -23 Q{s * 8} -14 {s * 7} -2 Q{s * 10} 10 {s * 24} 5 Q{s * 35} -1 {s * 34} -19Z", fill=skin, stroke=edge, width=1.7)
    for x, y in ((-27, 9), (29, 8), (1, 15)):
        out += p.ellipse(x + p.vary(-1, 1), y, 5.4, 3.8, "#a01f18") + p.ellipse(x - 1, y - 1.2, 1.8, 1, "#dd6a55")
    for x in (-34, -20, 19, 36, 12):
        out += p.ellipse(x + p.vary(-2, 2), 14 - abs(x) * 0.28 + p.vary(0, 2), 3, 2, "#4fa03c")
    return out


@concept(
    "pajeon",
    ko="파전",
    en="pajeon, spring onion pancake",
    en_plural="pajeon, spring onion pancakes",
    romanised="pajeon",
    world="korean",
    category="food",
    setting="table",
    label=("전", "파전"),
    counter_ko="장",
    look_alike="pancake",
)
def pajeon(p: Pen) -> str:
    """A wide flat golden pancake on a dark plate, seen from above: long parallel spring onions and red chilli rings."""
    out = p.ellipse(0, 11, 48, 31, "#33414d", stroke="#1e2830", width=1.6) + p.ellipse(0, 9, 44, 27, "#4b5d6b")
    out += p.path(
        "M-41 8 Q-43 -6 -30 -10 Q-18 -19 0 -17 Q20 -19 31 -10 Q43 -5 41 9 Q42 22 27 26 Q14 34 0 32 Q-18 34 -28 27 Q-42 22 -41 8Z",
        fill=p.gradient((0, "#f6cf63"), (0.6, "#f0b94a"), (1, "#cf8a2a")),
        stroke="#9c5c1a",
        width=2.4,
    )
    for i, (left, right) in enumerate(((-22, 22), (-33, 31), (-36, 36), (-35, 35), (-30, 32), (-20, 20))):
        y = -10 + i * 7.4
        bend = p.vary(-3, 3)
        out += p.path(f"M{left} {y} Q0 {y + bend} {right} {y + p.vary(-1, 1)}", stroke=("#2f8a34", "#58ad3f")[i % 2], width=4.2)
        out += p.line(left, y, left + 9, y + bend / 4, "#e9f3c4", 4)
    for _ in range(4):
        out += p.ellipse(p.vary(-24, 24), p.vary(-6, 22), 4, 3, "none", stroke="#d22c1c", width=2.2)
    for _ in range(4):
        out += p.ellipse(p.vary(-28, 28), p.vary(-8, 25), 5, 1.5, "#b56f22")
    return out
