"""Evaluation: how well objects agree with the truth, and what a reviewer changed."""

from wsi_parse.evaluate.centres import match_centres
from wsi_parse.evaluate.evaluation import Comparison, Evaluation, compare, evaluate, summed
from wsi_parse.evaluate.figures import Figures
from wsi_parse.evaluate.options import EvaluationOptions
from wsi_parse.evaluate.review import Review
from wsi_parse.evaluate.scores import dice, f1_score

__all__ = [
    "Comparison",
    "Evaluation",
    "EvaluationOptions",
    "Figures",
    "Review",
    "compare",
    "dice",
    "evaluate",
    "f1_score",
    "match_centres",
    "summed",
]
