"""DICOM bulk annotations: read back by highdicom, the same lines, areas and classes; nobody's name in them."""

import json
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import shapely
from highdicom.ann import AnnotationGroup, MicroscopyBulkSimpleAnnotations, annread

from tests.exporters.made import CLASSES, batch_of, cells
from tests.exporters.maps import SLIDE, context_of
from tests.shared import shared_data_root
from wsi_parse.errors import SlideReadError
from wsi_parse.exporters.dicom import DicomExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

PIXEL_UM2 = 0.25 * 0.5


def written(path: Path, *batches: ObjectBatch, **context: object) -> MicroscopyBulkSimpleAnnotations:
    with DicomExporter(path, replace(context_of(), **context)) as exporter:  # type: ignore[arg-type]
        for batch in batches:
            exporter.write(batch)
    return annread(path)


def groups_of(file: MicroscopyBulkSimpleAnnotations) -> dict[str, AnnotationGroup]:
    return {group.label: group for group in file.get_annotation_groups()}


def polygons(group: AnnotationGroup) -> list[shapely.Polygon]:
    return [shapely.Polygon(points) for points in group.get_graphic_data("2D")]


def measured(group: AnnotationGroup, meaning: str) -> np.ndarray:
    names, values, _ = group.get_measurements()
    return values[:, [name.meaning for name in names].index(meaning)]


AREA, ROW = "Area", "Row of the object in objects.parquet"


def plain(shapes: list[object], prompt: int = 1, unsure: bool = False) -> ObjectBatch:
    batch = batch_of(np.array(shapes, object))
    return replace(batch, class_index=np.full(len(shapes), 2 * prompt + unsure, np.int16))


def test_lines_classes_and_areas_come_back(tmp_path: Path) -> None:
    batch = cells(300)
    batch = replace(batch, class_index=batch.class_index + (np.arange(300) % 5 == 0).astype(np.int16))
    file = written(tmp_path / "a.dcm", batch.part(0, 100), batch.part(100, 300))
    groups = groups_of(file)
    assert set(groups) == {row.name for row in CLASSES.rows}
    assert [group.number for group in groups.values()] == list(range(1, 7))
    for index, row in enumerate(CLASSES.rows):
        group = groups[row.name]
        mine = batch.class_index == index
        found = polygons(group)
        assert group.number_of_annotations == mine.sum() == len(found)
        assert all(one.equals_exact(other) for one, other in zip(found, batch.geometry[mine], strict=True))
        assert measured(group, ROW).tolist() == np.flatnonzero(mine).tolist()
        assert np.allclose(measured(group, AREA), shapely.area(batch.geometry[mine]) * PIXEL_UM2, rtol=1e-6)
        assert (
            np.abs(
                np.array(hd.color.CIELabColor.from_dicom_value(group.RecommendedDisplayCIELabValue).to_rgb())
                - row.colour
            ).max()
            <= 1
        )


def test_expanded_nuclei_stay_nuclei_and_their_cells_are_a_separate_group(tmp_path: Path) -> None:
    nuclei = np.array([shapely.box(10, 10, 20, 20), shapely.box(40, 10, 50, 20)], object)
    bodies = shapely.buffer(nuclei, 5, join_style="mitre")
    groups = groups_of(written(tmp_path / "a.dcm", replace(plain(list(bodies)), nuclei=nuclei)))
    assert set(groups) == {"Gland", "Gland (cells)"}
    for label, shapes in (("Gland", nuclei), ("Gland (cells)", bodies)):
        assert all(one.equals(other) for one, other in zip(polygons(groups[label]), shapes, strict=True))
        assert measured(groups[label], ROW).tolist() == [0, 1]
    kinds = {group.annotated_property_type.meaning for group in groups.values()}
    assert len(kinds) == 2


def test_holes_and_parts_are_written_and_no_area_is_lost(tmp_path: Path) -> None:
    ring = shapely.box(0, 0, 40, 30).difference(shapely.box(5, 5, 10, 10)).difference(shapely.box(20, 20, 24, 22))
    island = shapely.box(100, 0, 110, 10).difference(shapely.box(102, 2, 103, 4))
    several = shapely.MultiPolygon([island, shapely.box(60, 60, 70, 61)])
    file = written(tmp_path / "a.dcm", plain([shapely.box(900, 900, 901, 901), several, ring]))
    groups = groups_of(file)
    assert set(groups) == {"Gland", "Gland (holes)"}
    assert measured(groups["Gland"], ROW).tolist() == [0, 1, 1, 2]
    assert measured(groups["Gland (holes)"], ROW).tolist() == [1, 2, 2]
    # The area of a part is without its holes; that of all parts is that of all objects.
    assert measured(groups["Gland"], AREA).tolist() == pytest.approx([PIXEL_UM2 * area for area in (1, 98, 10, 1167)])
    assert measured(groups["Gland (holes)"], AREA).tolist() == pytest.approx([PIXEL_UM2 * area for area in (2, 25, 8)])
    # Objects are made again of the two groups.
    for row, shape in enumerate([shapely.box(900, 900, 901, 901), several, ring]):
        solid, holes = (
            shapely.union_all([one for one, of in zip(polygons(group), measured(group, ROW), strict=True) if of == row])
            for group in (groups["Gland"], groups["Gland (holes)"])
        )
        assert solid.difference(holes).equals(shape)


@pytest.mark.parametrize(
    ("far", "double"), [(0.25, False), (199_999.75, False), (4_194_303.75, False), (5_000_000.25, True)]
)
def test_no_point_moves_however_far_out(tmp_path: Path, far: float, double: bool) -> None:
    shape = shapely.box(far, far, far + 1.25, far + 2.75)
    group = written(tmp_path / "a.dcm", plain([shape])).get_annotation_groups()[0]
    assert ("DoublePointCoordinatesData" in group) == double
    assert polygons(group)[0].equals(shape)


def test_level0_whatever_the_frame_of_the_outputs(tmp_path: Path) -> None:
    file = written(tmp_path / "a.dcm", plain([shapely.box(50, 60, 70, 80)]), offset_level0=(10, 20))
    assert polygons(file.get_annotation_groups()[0])[0].equals(shapely.box(50, 60, 70, 80))
    assert file.PixelOriginInterpretation == "VOLUME"
    assert file.AnnotationCoordinateType == "2D"


def test_the_same_objects_give_the_same_bytes_and_others_another_uid(tmp_path: Path) -> None:
    one = written(tmp_path / "a.dcm", cells(50))
    written(tmp_path / "b.dcm", cells(50).part(0, 20), cells(50).part(20, 50))
    other = written(tmp_path / "c.dcm", cells(49))
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID == other.SeriesInstanceUID
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert pydicom.uid.UID(one[name].value).is_valid


def test_nothing_found_is_a_result(tmp_path: Path) -> None:
    file = written(tmp_path / "a.dcm", cells(3).part(0, 0))
    assert file.get_annotation_groups() == []
    assert file.ContentDescription == "research use only, not for clinical decisions"


PLANTED = {
    "PatientName": "Doe^Jane",
    "PatientID": "PAT-4711",
    "PatientBirthDate": "19510203",
    "PatientSex": "F",
    "PatientAge": "071Y",
    "AccessionNumber": "ACC9988",
    "StudyID": "ST-77",
    "StudyDate": "20190401",
    "StudyTime": "112233",
    "StudyDescription": "Biopsy of Jane",
    "ReferringPhysicianName": "House^Greg",
    "OperatorsName": "Tech^User",
    "InstitutionName": "Grace Hospital",
    "DeviceSerialNumber": "SS7123",
    "ContainerIdentifier": "SLIDE-0815",
    "AcquisitionDateTime": "20190401112233",
    "ContentDate": "20190401",
}


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DICOM slide of the shared data, with a planted patient."""
    folder = tmp_path_factory.mktemp("patient")
    for file in (shared_data_root() / "slides" / "dicom" / "CMU-1-Small-Region").iterdir():
        image = pydicom.dcmread(file)
        for name, value in PLANTED.items():
            setattr(image, name, value)
        image.SpecimenDescriptionSequence[0].SpecimenIdentifier = "SPEC-0042"
        image.save_as(folder / file.name)
    return folder


def test_a_dicom_slide_is_referred_to_and_its_patient_is_not(patient: Path, tmp_path: Path) -> None:
    formats = ["export.formats=[geojson, parquet, dicom, ome-zarr]", "export.overlay_px=0", "export.report=false"]
    settings = RunSettings.load(None, formats, prompts=("nuclei",), model={"name": "stain"})
    manifest = run_slide(patient / "01.dcm", tmp_path / "out", settings)
    file = annread(tmp_path / "out" / "annotations.dcm")
    volume = pydicom.dcmread(patient / "03.dcm", stop_before_pixels=True)
    assert "VOLUME" in volume.ImageType
    reference = file.ReferencedImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == volume.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == volume.SOPClassUID
    assert file.ReferencedSeriesSequence[0].SeriesInstanceUID == volume.SeriesInstanceUID
    assert file.StudyInstanceUID == volume.StudyInstanceUID
    group = file.get_annotation_groups()[0]
    assert len(np.unique(measured(group, ROW))) == manifest.counts["nuclei"] > 2000
    features = json.loads((tmp_path / "out" / "annotations.geojson").read_text())["features"]
    shapes = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    # Some nuclei may have holes, which are a group of their own: a fit outline may pinch.
    solid, *holes = (sum(one.area for one in polygons(group)) for group in file.get_annotation_groups())
    assert solid - sum(holes) == shapely.area(shapes).sum()
    for path in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        data = path.read_bytes()
        for secret in (*PLANTED.values(), "SPEC-0042", str(patient), str(tmp_path)):
            # One letter is anywhere.
            assert len(secret) < 2 or secret.encode() not in data, (path.name, secret)
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
        assert not file.get(name)
    assert not set(PLANTED.values()) & {str(element.value) for element in file.iterall()}


def test_a_dicom_slide_without_the_image_is_an_error(patient: Path, tmp_path: Path) -> None:
    with pytest.raises(SlideReadError, match="volume image of 4600 x 3300 px"):
        written(tmp_path / "a.dcm", cells(3), source=patient / "01.dcm")
    assert SLIDE["width_px"] == 4600
    assert not list(tmp_path.iterdir())
