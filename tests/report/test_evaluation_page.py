"""The page of an evaluation: the reviewer's sentence first, then the figures; names are only words."""

from pathlib import Path

import numpy as np
import shapely
from PIL import Image

from tests.evaluate.made import annotations
from tests.report.pages import words_of
from tests.report.test_page import HOSTILE, elements
from wsi_parse.evaluate import Evaluation, EvaluationOptions, evaluate
from wsi_parse.gates import is_ours
from wsi_parse.report.evaluation_page import write_evaluation_page


def squares(count: int) -> list[shapely.Polygon]:
    return [shapely.box(100 * number, 0, 100 * number + 40, 40) for number in range(count)]


def reviewed(name: str = "Tumor") -> Evaluation:
    """Five objects: two kept, one redrawn, one of another class, one deleted; one added."""
    shapes, ids = squares(6), [f"id{number}" for number in range(6)]
    pred = annotations(shapes[:5], [name] * 5, ids[:5])
    redrawn = shapely.box(200, 0, 240, 30)
    truth = annotations([*shapes[:2], redrawn, shapes[3], shapes[5]], [name] * 3 + ["Stroma", name], [*ids[:4], None])
    return evaluate(truth, pred, EvaluationOptions(radius="5px"))


def test_the_sentence_comes_before_the_figures(tmp_path: Path) -> None:
    picture, path = tmp_path / "d.png", tmp_path / "d.html"
    Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save(picture)
    write_evaluation_page([reviewed()], path, [picture])
    page = path.read_text(encoding="utf-8")
    found, words = elements(page), words_of(page)
    sentence = "Of 5 predicted objects, the reviewer kept 2, redrew 1, reclassified 1 and deleted 1, and added 1."
    assert words.index(sentence) < words.index("Tumor Stroma 1") < words.index("precision") < words.index("AJI")
    assert len([one for tag, one in found if tag == "img"]) == 1
    assert is_ours(path)


def test_several_slides_begin_with_their_sum_and_without_ids_nothing_is_told_of_a_reviewer(tmp_path: Path) -> None:
    alone = evaluate(annotations(squares(2)), annotations(squares(2)), EvaluationOptions(radius="5px"))
    write_evaluation_page([reviewed(), alone], tmp_path / "d.html")
    page = (tmp_path / "d.html").read_text(encoding="utf-8")
    assert len([one for tag, one in elements(page) if tag == "section"]) == 4
    assert words_of(page).count("the changes of a reviewer are not known") == 1


def test_hostile_names_are_only_words(tmp_path: Path) -> None:
    write_evaluation_page([reviewed(HOSTILE)], tmp_path / "d.html")
    page = (tmp_path / "d.html").read_text(encoding="utf-8")
    elements(page)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
