"""The general world, on a table: what any model has seen, the look-alikes of Korean food and craft among them."""

from .concepts import concept
from .scene import COLOURS, Pen

PAINT = tuple(COLOURS)


@concept("ramen", ko="라멘", en="ramen bowl", world="general", category="things", setting="table", counter_ko="그릇")
def ramen(p: Pen) -> str:
    """A black bowl with a red line, amber broth, straight noodles, pork, egg, naruto and a seaweed sheet."""
    out = p.path("M-44 4 Q-40 40 -16 42 L16 42 Q40 40 44 4Z", fill=p.gradient((0, "#2b2b33"), (1, "#15151a")))
    out += p.path("M-43 12 Q0 26 43 12", stroke="#c53030", width=3)
    out += p.ellipse(0, 4, 44, 15, "#2b2b33") + p.ellipse(0, 4, 40, 12.5, p.gradient((0, "#d9a35c"), (1, "#b97a35")))
    for i in range(7):
        y = -2 + i * 1.9
        out += p.path(f"M-30 {y} q7 -3 14 0 t14 0 t14 0 t14 0", stroke="#f2dc9a", width=1.5)
    out += p.ellipse(-14, -1, 11, 5.5, "#c98f74") + p.ellipse(-14, -1, 8, 3.6, "#e6b9a0")
    out += p.ellipse(14, -2, 8, 5.5, "#fdfaf2") + p.ellipse(14, -2, 4, 2.8, "#f09a2c")
    out += p.ellipse(2, 9, 7, 3.8, "#fdfdfd") + p.path("M-1 9 q3 -4 5 0 q-3 3 -3 0", stroke="#ec6f9b", width=1.4)
    out += p.rect(20, -26, 12, 26, "#1f3325", rotate=12)
    return out


@concept("sushi", ko="초밥", en="plate of sushi", en_plural="plates of sushi", world="general", category="things", setting="table", counter_ko="접시")
def sushi(p: Pen) -> str:
    """Salmon and tuna nigiri side by side on a wooden geta board with two feet, and a heap of wasabi."""
    out = p.rect(-36, 32, 10, 10, "#9a6a34") + p.rect(26, 32, 10, 10, "#9a6a34")
    out += p.polygon([(-40, 6), (40, 6), (48, 28), (-48, 28)], "#e3b878") + p.rect(-48, 27, 96, 8, "#b98546")
    for x, tone, line in ((-28, "#f98a4b", "#ffd2b0"), (1, "#f98a4b", "#ffd2b0"), (30, "#cf3347", "#ee8a94")):
        turn = p.vary(-4, 4)
        out += f'<g transform="translate({x} 2) rotate({turn})">'
        out += p.path("M-12 -12 Q0 -20 12 -12 L13 19 Q0 26 -13 19Z", fill="#fbf8f0", stroke="#cfc6b2", width=1.2)
        out += p.path("M-13 -19 Q0 -29 13 -19 Q16 -6 15 8 Q0 -2 -15 8 Q-16 -6 -13 -19Z", fill=tone, stroke=p.shade(tone, 0.7), width=1.3)
        for y in (-18, -11, -4):
            out += p.path(f"M-11 {y + 5} Q0 {y - 4} 11 {y + 5}", stroke=line, width=2.2)
        out += "</g>"
    return out


@concept("salad", ko="샐러드", en="bowl of salad", en_plural="bowls of salad", world="general", category="things", setting="table", counter_ko="그릇")
def salad(p: Pen) -> str:
    """A clear blue-tinted glass bowl heaped with frilly lettuce, tomato wedges and cucumber slices."""
    out = ""
    back = ((-30, -4, "#4fa53a"), (28, -5, "#3f9433"), (-12, -16, "#8ccb4a"), (14, -17, "#6dbb40"))
    for x, y, tone in (*back, (0, -4, "#5aad3c"), (-22, 4, "#9ad655"), (24, 5, "#7fc848")):
        out += f'<g transform="translate({x} {y}) rotate({p.vary(-20, 20)})">'
        out += p.path("M-18 8 q-6 -8 1 -12 q0 -9 8 -8 q5 -8 11 -2 q9 -3 11 5 q8 3 4 11 q2 8 -8 8 q-14 6 -27 -2Z", fill=tone, stroke="#2d7427", width=1.4)
        out += p.path("M0 8 Q-1 -2 3 -9", stroke="#d8f0a8", width=2) + "</g>"
    for x, y in ((-24, -11), (10, -3), (30, -14)):
        out += p.ellipse(x, y, 8.5, 8, "#e53425", stroke="#a51c14", width=1.4) + p.ellipse(x - 2.5, y - 3, 2.6, 1.8, "#ff9c8c")
    for x, y in ((-6, -21), (-10, 3), (27, 6)):
        out += p.ellipse(x, y, 7, 5.5, "#e4f4c0", stroke="#2f7d30", width=2)
    out += '<g opacity="0.86">'
    out += p.path("M-46 2 Q-42 42 -16 42 L16 42 Q42 42 46 2 Q0 22 -46 2Z", fill=p.gradient((0, "#c9ecf4"), (1, "#7fbfd6")), stroke="#5d9db8", width=1.6)
    out += "</g>"
    for x, tone in ((-20, "#6fb445"), (8, "#e0604a"), (24, "#8ac653")):
        out += p.ellipse(x, 24, 9, 5, tone)
    return out + p.path("M-38 14 Q-34 32 -22 37", stroke="#ffffff", width=3)


@concept("pasta", ko="파스타", en="plate of pasta", en_plural="plates of pasta", world="general", category="things", setting="table", counter_ko="접시")
def pasta(p: Pen) -> str:
    """A wide white plate, a swirled nest of yellow spaghetti, tomato sauce on top and basil leaves."""
    out = p.ellipse(0, 20, 48, 22, "#fbfaf7", stroke="#b9bcc0", width=1.8) + p.ellipse(0, 18, 37, 15, "#e6e6e4")
    out += p.path("M-34 18 Q-36 -4 -14 -14 Q0 -22 14 -14 Q36 -4 34 18 Q20 31 0 31 Q-20 31 -34 18Z", fill="#efc24a", stroke="#b98a1e", width=1.6)
    for i in range(6):
        r = 31 - i * 4
        out += p.path(f"M{-r} {18 - i * 4} Q{p.vary(-6, 6)} {34 - i * 4} {r} {17 - i * 4}", stroke=("#fbe08a", "#d59f2c")[i % 2], width=2.6)
    for s in (-1, 1):
        out += p.path(f"M{s * 33} 20 q{s * 9} 2 {s * 5} 8 q{s * -10} 6 {s * -18} 1", stroke="#f3cd5c", width=3)
    out += p.path(
        "M-19 -4 Q-18 -20 0 -21 Q18 -20 20 -4 Q24 4 14 4 Q10 11 3 5 Q-6 10 -10 4 Q-22 5 -19 -4Z",
        fill=p.gradient((0, "#d8402a"), (1, "#a82417")),
        stroke="#861a10",
        width=1.2,
    )
    out += p.path("M-2 -14 Q-18 -16 -17 -28 Q-2 -28 -2 -14Z", fill="#3a9a3c", stroke="#1f6526", width=1.3)
    out += p.path("M0 -14 Q2 -30 17 -29 Q18 -15 0 -14Z", fill="#58b34a", stroke="#1f6526", width=1.3)
    return out


@concept(
    "dumpling", ko="교자", en="steamer of gyoza dumplings", en_plural="steamers of gyoza dumplings", world="general", category="things", setting="table",
    counter_ko="판",
)  # fmt: skip
def dumpling(p: Pen) -> str:
    """A round bamboo steamer with pale gyoza crescents: a scalloped pleat along the top, a crisp brown bottom."""
    side = p.gradient((0, "#c48f42"), (0.5, "#f0c887"), (1, "#b07a34"), across=True)
    out = p.path("M-47 10 L-47 30 Q-40 42 0 42 Q40 42 47 30 L47 10Z", fill=side, stroke="#7a4d1c", width=1.4)
    out += p.path("M-47 24 Q-38 36 0 36 Q38 36 47 24", stroke="#7a4d1c", width=2.2) + p.ellipse(0, 8, 47, 25, "#e6b86e", stroke="#7a4d1c", width=1.6)
    out += p.ellipse(0, 8, 41, 20.5, "#4a3420")
    for x, y in ((0, -9), (-20, 7), (20, 7), (0, 22)):
        out += f'<g transform="translate({x} {y}) rotate({p.vary(-7, 7)})">'
        out += p.path(
            "M-21 9 Q-22 -11 0 -12 Q22 -11 21 9 Q0 4 -21 9Z", fill=p.gradient((0, "#fffaf0"), (0.6, "#f8e6bd"), (1, "#e9c180")), stroke="#8f6a36", width=1.4
        )
        out += p.path("M-20 8 Q0 2.5 20 8", stroke="#b8641e", width=4)
        out += p.path("M-18 -3 q0 -8 7 -7 q2 -6 7 -4 q4 -4 8 0 q5 -2 7 4 q7 -1 7 7 Q0 -12 -18 -3Z", fill="#fffdf8", stroke="#a9854c", width=1.4) + "</g>"
    return out


@concept("soup", ko="수프", en="bowl of soup", en_plural="bowls of soup", world="general", category="things", setting="table", counter_ko="그릇")
def soup(p: Pen) -> str:
    """A white bowl on a saucer, smooth orange cream soup with a swirl of cream, a silver spoon standing in it."""
    out = p.ellipse(0, 34, 46, 9, "#f2f1ee", stroke="#b4b6ba", width=1.5)
    out += p.path("M-42 2 Q-38 38 -14 38 L14 38 Q38 38 42 2Z", fill=p.gradient((0, "#ffffff"), (1, "#cfd2d6")), stroke="#b4b6ba", width=1.5)
    out += p.ellipse(0, 0, 43, 19, "#ffffff", stroke="#b4b6ba", width=1.5) + p.ellipse(0, 1, 37, 14.5, p.gradient((0, "#f9a23c"), (1, "#ee7c17")))
    out += p.path(f"M-22 2 Q-14 {p.vary(-10, -7)} 0 -6 Q14 -5 10 3 Q0 9 -8 4 Q-6 -1 1 1", stroke="#fff3dc", width=3.2)
    out += p.line(20, 0, 42, -38, "#8d949c", 5) + p.line(20, 0, 42, -38, "#dfe4e8", 2.6)
    out += p.ellipse(19, 2, 8, 4.6, "#c9ced4", stroke="#8d949c", width=1.2, rotate=-20)
    return out + p.path("M-17 8 q-5 -5 1 -7 q5 2 -1 7Z", fill="#3f9a3c")


@concept(
    "pancake", ko="팬케이크", en="stack of pancakes", en_plural="stacks of pancakes", world="general", category="things", setting="table", counter_ko="접시"
)
def pancake(p: Pen) -> str:
    """Four thick round pancakes in a stack on a white plate, a square of butter, syrup running down the side."""
    out = p.ellipse(0, 32, 48, 10, "#fbfaf7", stroke="#b4b9c2", width=1.8)
    for i in range(4):
        y = 22 - i * 10
        x = p.vary(-2, 2)
        out += p.path(
            f"M{x - 38} {y} Q{x - 41} {y + 10} {x - 30} {y + 13} Q{x} {y + 19} {x + 30} {y + 13} Q{x + 41} {y + 10} {x + 38} {y}Z",
            fill="#f6d492",
            stroke="#b4742a",
            width=1.2,
        )
        out += p.ellipse(x, y, 38, 12, p.gradient((0, "#d9933f"), (1, "#b86f26")), stroke="#93551a", width=1.2)
    out += p.path(
        "M-26 -9 Q-24 -18 0 -17 Q26 -18 27 -8 L28 8 q-1 6 -5 0 L21 1 Q14 2 13 8 L13 20 q-3 7 -6 0 L6 4 Q-4 4 -10 2 L-12 12 q-3 6 -6 0 L-18 -1 Q-27 -3 -26 -9Z",
        fill="#7a3a0c",
        stroke="#5a2807",
        width=1,
    )
    out += p.polygon([(-11, -15), (2, -11), (2, -18), (-11, -22)], "#f3d24e") + p.polygon([(2, -11), (13, -16), (13, -23), (2, -18)], "#e3bb33")
    return out + p.polygon([(-11, -22), (2, -18), (13, -23), (0, -27)], "#fff0a0")


@concept("cabbage", ko="양배추", en="cabbage", world="general", category="things", setting="table", counter_ko="통")
def cabbage(p: Pen) -> str:
    """A whole round green head of cabbage: wrapped veined leaves, wavy outer leaves at its sides."""
    out = p.path("M-12 40 Q-50 44 -48 12 Q-52 -6 -38 -14 Q-36 10 -12 40Z", fill="#5c9f3c", stroke="#2f6b26", width=1.6)
    out += p.path("M12 40 Q50 44 48 12 Q52 -6 38 -14 Q36 10 12 40Z", fill="#5c9f3c", stroke="#2f6b26", width=1.6)
    out += p.ellipse(0, 2, 41, 40, p.gradient((0, "#d9efae"), (0.6, "#a9d66c"), (1, "#6fae42")), stroke="#3f7f2c", width=1.8)
    out += p.path("M-12 42 Q-46 20 -34 -20 Q-8 -14 4 8 Q8 26 0 42Z", fill="#9bcf62", stroke="#4b8c33", width=1.8)
    out += p.path("M0 42 Q6 4 36 -18 Q44 22 14 41Z", fill="#b9e07e", stroke="#4b8c33", width=1.8)
    left, right = ("M-4 41 Q-12 10 -30 -14", "M-9 22 Q-22 18 -31 8", "M-15 5 Q-12 -4 -14 -12"), ("M5 41 Q14 10 33 -12", "M13 20 Q26 16 35 8")
    for d in (*left, *right, "M2 2 Q6 -20 -6 -36", "M4 -14 Q14 -22 22 -28"):
        out += p.path(d, stroke="#f0f9d6", width=2.2)
    return out


@concept("apple", ko="사과", en="apple", world="general", category="things", setting="table", colours=("red", "yellow", "green"), counter_ko="개")
def apple(p: Pen) -> str:
    """A round apple with two shoulders, a short stem, one leaf and a highlight."""
    dark = p.shade(p.colour, 0.62)
    out = p.path(
        "M0 -20 C-14 -34 -46 -28 -44 4 C-43 28 -24 46 -8 41 Q0 38 8 41 C24 46 43 28 44 4 C46 -28 14 -34 0 -20Z",
        fill=p.gradient((0, p.shade(p.colour, 1.3)), (0.55, p.colour), (1, dark), radial=True),
        stroke=dark,
        width=1.8,
    )
    out += p.path("M-15 -21 Q0 -8 15 -21 Q6 -17 0 -17 Q-6 -17 -15 -21Z", fill=dark)
    out += p.path(f"M0 -16 Q{p.vary(-3, 1)} -30 5 -42", stroke="#5f3b1c", width=4.4)
    out += p.path("M4 -31 Q14 -50 36 -42 Q28 -24 4 -31Z", fill="#3f8f3b", stroke="#235f28", width=1.4)
    out += p.path("M6 -32 Q18 -38 31 -41", stroke="#a5d68a", width=1.3)
    return out + p.ellipse(-24, -6, 6, 12, p.shade(p.colour, 2.2), rotate=24)


@concept("cup", ko="컵", en="cup", world="general", category="things", setting="table", colours=PAINT, counter_ko="개")
def cup(p: Pen) -> str:
    """A tall straight mug with a big round handle on the right, coffee inside."""
    dark, light = p.shade(p.colour, 0.7), p.shade(p.colour, 1.35)
    out = p.path("M24 -14 Q50 -18 48 6 Q47 28 22 26", stroke=dark, width=10) + p.path("M24 -14 Q50 -18 48 6 Q47 28 22 26", stroke=p.colour, width=7)
    out += p.path(
        "M-40 -26 L-37 32 Q-36 42 -24 42 L12 42 Q24 42 25 32 L28 -26Z",
        fill=p.gradient((0, dark), (0.25, light), (0.6, p.colour), (1, dark), across=True),
        stroke=dark,
        width=1.6,
    )
    out += p.ellipse(-6, -26, 34, 11, light, stroke=dark, width=1.8) + p.ellipse(-6, -25, 28.5, 7.8, "#4a2712") + p.ellipse(-12, -25, 12, 3, "#7a4a26")
    return out
