"""What `kimchi score` measured of the same pictures, so that it can be held against people."""

import json
from pathlib import Path

from kimchi.errors import DataError
from kimchi.eval.scoring.tables import Scores, read_scores


def read_automatic(folder: Path) -> Scores:
    """A folder of `kimchi score` => metric => (prompt, condition) => score, higher better: of the others the sign is turned, and the name says so.

    Raises:
        DataError: no such folder, or not one of `kimchi score`.
    """
    scores = read_scores(folder / "scores.csv")
    lower = _lower_is_better(folder / "results.json")
    return {f"−{name}" if name in lower else name: {key: -one if name in lower else one for key, one in known.items()} for name, known in scores.items()}


def _lower_is_better(path: Path) -> set[str]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        summaries = [one for metric in read["metrics"] for one in metric.get("summaries", ())]
        return {str(one["metric"]) for one in summaries if not one["higher_is_better"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Without it a distance would be taken for a likeness.
        raise DataError(
            f"{path}: cannot be read ({error}), and only it says which metrics are better when lower. Give the folder that `kimchi score` wrote."
        ) from error
