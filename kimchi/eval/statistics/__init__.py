"""Statistics of a study: from a table of ratings to claims that hold for people and prompts that were not there.

    from kimchi.eval.statistics import Plan, analyse, read_csv
    analysis = analyse(read_csv(Path("ratings.csv")), Plan(focus="kimchi", photograph="photo"))

The files in the order of reading: ratings, plan, estimates (what goes in and comes out); descriptives, agreement, reliability; cluster
(means and contrasts), bootstrap, dominance, ranks, equivalence, sensitivity; laplace, fit, mixed (the ordinal model); metrics;
simulate, power; analysis (all of it).
"""

from .analysis import Analysis, CriterionAnalysis, analyse
from .estimates import Estimate, Inference, Why
from .plan import Plan
from .power import Power, power
from .ratings import Ratings, from_columns, read_csv
from .simulate import Design, simulate

__all__ = [
    "Analysis",
    "CriterionAnalysis",
    "Design",
    "Estimate",
    "Inference",
    "Plan",
    "Power",
    "Ratings",
    "Why",
    "analyse",
    "from_columns",
    "power",
    "read_csv",
    "simulate",
]
