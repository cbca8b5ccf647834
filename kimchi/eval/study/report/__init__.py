"""The report of a study: one page in Korean and one in English, figures as SVG, tables as CSV and LaTeX.

In the order of reading: glyphs, figures/, words, tables, frames (all figures and tables by name), told (sentences), page.
"""

from collections.abc import Callable
from pathlib import Path

from kimchi.data.files import write_text

from ..results import StudyResults
from .figures.drawing import standalone
from .figures.naming import Language
from .frames import WIDE, every_figure, every_table, frames, names_of
from .page import page

LANGUAGES: tuple[Language, ...] = ("ko", "en")


def write_report(results: StudyResults, folder: Path, report: Callable[[str, int, int], None] = lambda stage, done, total: None) -> tuple[Path, ...]:
    """Everything into a folder: report.ko.html, report.en.html, figures/*.svg, tables/*.csv and *.tex. Returns the two pages."""
    pages: list[Path] = []
    for k, language in enumerate(LANGUAGES):
        names = names_of(results.about, language)
        found = frames(results, names)
        write_text(folder / f"report.{language}.html", page(results, names, found))
        pages.append(folder / f"report.{language}.html")
        for drawn in every_figure(found):
            figure = drawn(WIDE)
            write_text(folder / "figures" / f"{figure.name}.{language}.svg", standalone(figure, language))
        for table in every_table(found):
            write_text(folder / "tables" / f"{table.name}.{language}.csv", "\ufeff" + table.as_csv())
            write_text(folder / "tables" / f"{table.name}.{language}.tex", table.as_latex())
        report("report", k + 1, len(LANGUAGES))
    return tuple(pages)


__all__ = ["LANGUAGES", "write_report"]
