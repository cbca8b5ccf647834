"""The pictures of the README, drawn anew: python tests/benchmarks/hero.py => data/pictures/mini.png

One seed for all, none chosen; the top row is what the base draws when it is given the same Korean, the rows below are `mini`.
"""

from pathlib import Path

from PIL import Image

from kimchi import Kimchi
from kimchi.data.files import atomic_path

PLACE = Path(__file__).parents[2] / "data" / "pictures" / "mini.png"
SEED, SIDE, GAP = 2026, 128, 6
PROMPTS = (
    ("한국의 라면을 그려줘", "배추김치", "비빔밥", "떡볶이", "김밥", "삼계탕", "송편", "파전"),
    ("한옥", "광화문", "첨성대", "롯데월드타워", "N서울타워", "돌하르방", "석탑", "거북선"),
    ("한복", "갓", "하회탈", "장구", "달항아리", "태극부채", "복주머니", "청사초롱"),
)
"""Rows of the sheet."""


def main() -> None:
    """Draw and write."""
    rows = [("mini-base", PROMPTS[0]), *(("mini", row) for row in PROMPTS)]
    sheet = Image.new("RGB", (len(PROMPTS[0]) * (SIDE + GAP) - GAP, len(rows) * (SIDE + GAP) - GAP), "white")
    painters = {name: Kimchi.load(name, device="cpu") for name in ("mini-base", "mini")}
    for y, (name, prompts) in enumerate(rows):
        for x, made in enumerate(painters[name].generate(list(prompts), seed=SEED)):
            sheet.paste(made.image, (x * (SIDE + GAP), y * (SIDE + GAP)))
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(PLACE) as temporary:
        sheet.save(temporary, "PNG", optimize=True)
    print(PLACE)


if __name__ == "__main__":
    main()
