"""Which fields are chosen: the densest, the least certain, random ones on tissue; always the same ones."""

import numpy as np
import pytest
import shapely

from tests.report.pages import GLANDS, NUCLEI, Given, crowd, discs, slide_of, tissue_of
from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.report.choose import at_random, densest, least_certain
from wsi_parse.report.fields import field_groups, svg_path
from wsi_parse.report.lattice import FieldLattice
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

CLASSES = ClassTable.of([NUCLEI])


def lattice_of(slide: Slide, given: list[ObjectBatch], classes: ClassTable = CLASSES) -> FieldLattice:
    found = FieldLattice(slide, tissue_of(slide), classes)
    for batch in given:
        found.add(batch, shapely.get_coordinates(shapely.centroid(batch.geometry)))
    return found


def test_the_fullest_field_comes_first_and_none_overlap() -> None:
    slide = slide_of()
    given = [discs(crowd(1, 200, 100, 1100)), discs(crowd(2, 60, 700, 900))]
    lattice = lattice_of(slide, given)
    assert lattice.counts.sum() == 260
    assert lattice.field_steps * lattice.step_um == 128
    corners = densest(lattice, lattice.counts[0].astype(np.int64))
    assert len(corners) == 10
    middle = lattice.level0(np.array([corners[0][::-1]], float) + lattice.field_steps / 2)[0]
    assert (abs(middle - 800) < 60).all()
    apart = [abs(np.subtract(one, other)).max() for i, one in enumerate(corners) for other in corners[:i]]
    assert min(apart) >= lattice.field_steps


def test_a_field_in_which_the_model_is_unsure_is_found_and_a_single_object_is_none() -> None:
    sure, unsure = (
        discs(crowd(1, 300, 100, 1100), class_probability=0.9),
        discs(crowd(2, 30, 400, 500), class_probability=0.35),
    )
    alone = discs([(1500, 100)], class_probability=0.01)
    lattice = lattice_of(slide_of(), [sure, unsure, alone])
    row, column = least_certain(lattice)[0]
    x, y = lattice.level0(np.array([[column, row]], float) + lattice.field_steps / 2)[0]
    assert abs(x - 450) < 130
    assert abs(y - 450) < 130


def test_fields_of_a_region_lie_in_it_and_what_is_outside_is_pale() -> None:
    slide, region = slide_of(), shapely.box(300, 300, 900, 800)
    # At the rim of the region, cells reach beyond it.
    given = [discs([(298, 500), (299, 520), *crowd(1, 40, 310, 790)], class_probability=0.8)]
    lattice = FieldLattice(slide, tissue_of(slide, region=region), CLASSES)
    for batch in given:
        lattice.add(batch, shapely.get_coordinates(shapely.centroid(batch.geometry)))
    groups = field_groups(slide, lattice, Given(given, CLASSES), 3, region_level0=region)
    assert [group.fields != () for group in groups] == [True, True, True]
    for field in (field for group in groups for field in group.fields):
        box = field.box_level0
        inside = shapely.box(box.x, box.y, box.right, box.bottom).intersection(region).area / box.area
        assert inside > 0.2
        assert bool(field.outside) == (inside < 1)
    (whole, *_) = field_groups(slide, lattice, Given(given, CLASSES), 3)
    assert {field.outside for field in whole.fields} == {""}


def test_sums_do_not_depend_on_the_batches() -> None:
    batch = discs(crowd(3, 500, 100, 1100), class_probability=0.7123)
    one, many = lattice_of(slide_of(), [batch]), lattice_of(slide_of(), [*batch.parts(7)])
    assert one.certainty[0] == "class_probability"
    assert np.array_equal(one.certainty[1].total, many.certainty[1].total)
    assert np.array_equal(one.counts, many.counts)


def test_random_fields_lie_on_tissue_and_are_the_same_for_the_same_run() -> None:
    lattice = lattice_of(slide_of(), [])
    corners = at_random(lattice, 7)
    assert corners == at_random(lattice, 7) != at_random(lattice, 8)
    assert len(set(corners)) == 10
    share = lattice.sums(lattice.tissue_um2) / 128**2
    assert all(share[corner] >= 0.5 for corner in corners)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (60, 2000)])
def test_a_slide_smaller_than_a_field_has_fields_all_the_same(width: int, height: int) -> None:
    slide = slide_of(width, height)
    frame = slide.frame(8.0)
    lattice = FieldLattice(slide, TissueMask(np.ones(frame.box.shape, bool), frame), CLASSES)
    groups = field_groups(slide, lattice, Given([], CLASSES), 1)
    assert [len(group.fields) > 0 for group in groups] == [False, False, True]


def test_a_huge_slide_has_a_bounded_lattice() -> None:
    slide = slide_of(50, 40, mpp=20_000.0)
    frame = slide.frame(20_000.0)
    lattice = FieldLattice(slide, TissueMask(np.ones(frame.box.shape, bool), frame), CLASSES)
    assert max(lattice.shape) <= 1024
    assert lattice.field_steps == 1


def test_fields_show_the_outlines_and_count_from_the_bounds() -> None:
    slide = slide_of(bounds=Box(200, 100, 1300, 1000))
    given = [discs(crowd(1, 100, 400, 900)), discs(crowd(4, 20, 400, 900), row=1)]
    groups = field_groups(slide, lattice_of(slide, given), Given(given, CLASSES), 1)
    first = groups[0].fields[0]
    assert first.name == "densest-1"
    assert set(first.paths) == {0, 1}
    assert first.paths[0].count("M") == first.paths[0].count("Z")
    assert abs(first.box_level0.width - 256) <= 2
    assert "per mm²" in first.why


def test_the_area_of_regions_is_that_of_their_polygons() -> None:
    classes = ClassTable.of([GLANDS])
    glands = discs([(500, 500), (900, 700)], radius=150)
    lattice = lattice_of(slide_of(), [glands], classes)
    covered_um2 = lattice.covered(0).sum() * lattice.step_um**2
    assert abs(covered_um2 / (shapely.area(glands.geometry).sum() / 4) - 1) < 0.02


def test_the_path_of_a_polygon_with_a_hole_has_two_rings() -> None:
    ring = shapely.box(0, 0, 9, 9).difference(shapely.box(2, 2, 4, 4.25))
    path = svg_path([ring, shapely.MultiPolygon([shapely.box(20, 20, 21, 21)])])
    assert path.count("M") == path.count("Z") == 3
    assert svg_path([]) == ""
