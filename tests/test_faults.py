"""Each kind of fault that a sweep of the product found: the case, what happens now, and the tests that hold it.

The letters are those of the list of the sweep: L what a person made is lost, W plausible but wrong without a word, S
one bad thing stops all or nothing ends, X others can get in, Q what QuPath refuses.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Kind -> (case, what happens now, tests).
FAULTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "L1": (
        ".work is a link to another folder, links inside it; a user's own .mine.part",
        "links are refused or removed, and never followed; only names that we give are removed",
        ("tests/run/test_work.py::TestRemoving", "tests/run/test_torn_work.py::test_folders_too"),
    ),
    "L3": (
        "corrections saved over annotations.geojson, then the same command again",
        "the file is kept as annotations.edited-DATE.geojson, and this is said",
        (
            "tests/run/test_pipeline.py::test_corrections_that_were_saved_over_a_result_are_kept",
            "tests/run/test_export.py::test_what_a_person_has_changed_is_kept_aside",
        ),
    ),
    "L4": (
        "a run is killed, and goes on with another format or threshold",
        "maps, objects and outputs have a digest each; what does not fit is told before it is removed",
        ("tests/run/test_reuse.py", "tests/run/test_digests.py"),
    ),
    "L5": (
        "-o is the parent of a DICOM folder, the folder of an .mrxs, or the folder of the slide; slides called ...tif",
        "another name is taken for the results; results in the folder of a slide are refused, by every way to run it",
        ("tests/run/test_folders.py::TestResultsNeverLieInTheInput", "tests/cohort/test_list_file.py::TestRows"),
    ),
    "L6": (
        "an unknown field, or a newer version, in run.json",
        "unknown fields are ignored; a newer or unreadable manifest is an error that says so",
        ("tests/run/test_manifest.py",),
    ),
    "W5": (
        "mpp of 0.00025 or 250, a length of 1e308, 1e9 tiles in a batch",
        "every number has bounds, with its unit and what it looks like",
        (
            "tests/test_settings.py::test_every_number_has_bounds",
            "tests/test_settings.py::test_a_number_in_another_unit",
            "tests/cohort/test_many_faults.py::test_a_dry_run_says_the_same",
        ),
    ),
    "W6": (
        "no tissue, a region on glass, nothing found",
        "a caution on the screen, in run.json and in the cohort's table",
        (
            "tests/test_cautions.py",
            "tests/cohort/test_many_faults.py::test_cautions_are_in_the_table_and_strict_counts_them",
        ),
    ),
    "W9": (
        "--frame level0 with a region, on a slide with bounds",
        "the region is read in its own frame",
        ("tests/run/test_frames.py",),
    ),
    "W11": (
        "regions above 14 mm² at a fine scale",
        "sums are relative to the chunk, and do not overflow",
        ("tests/objects/test_measure.py",),
    ),
    "W12": (
        'a typo in a prompt: "neoplastc cells"',
        "did you mean; the dry run ends as the run would",
        ("tests/cli/test_mistakes.py",),
    ),
    "W13": (
        "an estimate of another machine",
        "a few tiles of the slide are timed here",
        ("tests/run/test_estimate.py",),
    ),
    "S1": (
        "a cohort with names that are not UTF-8, notes that hold [] or nested JSON, ids such as cohort.csv, ~nosuch/x",
        "each is a row; the tables come out, also under LC_ALL=C",
        ("tests/cohort/test_many_faults.py::test_each_fault_is_a_row", "tests/cohort/test_outcome.py::TestNotes"),
    ),
    "S2": (
        "files of a killed run emptied, cut, swapped, filled with anything, made folders, pipes or links",
        "they are made anew, and the bytes are those of a fresh run; what the system refuses to read stays and is said",
        (
            "tests/run/test_torn_work.py::test_all_files_of_a_kind",
            "tests/run/test_torn_work.py::test_any_mixture",
            "tests/run/test_torn_work.py::TestWhatTheSystemRefuses",
        ),
    ),
    "S4": (
        "a scheduler that accepts and is silent, slurm without sbatch, a lifetime in the user's Dask settings",
        "limits with a sentence where nothing can come; our settings win for what we start",
        (
            "tests/compute/test_waiting.py",
            "tests/compute/test_private.py::test_the_settings_of_the_user_for_dask_change_nothing",
            "tests/compute/test_private.py::TestJobs::test_our_settings_for_dask_win_in_jobs",
        ),
    ),
    "S7": (
        "lists with other columns, decimal commas, line breaks in quotes, NA, cp1252, an index, long names",
        "they are read; other columns travel to cohort.csv; a row that cannot be read is named with its line",
        ("tests/cohort/test_list_file.py", "tests/cohort/test_listing.py"),
    ),
    "W3": (
        "a thumbnail or macro image that comes first in a TIFF",
        "the largest image in colour is read, with its own pixel size, and this is said",
        ("tests/slides/test_image_choice.py",),
    ),
    "W4": (
        "a tag of 0.025 for 0.25 µm; 40 for a magnification; a resolution for printing",
        "one function judges every pixel size: refused or questioned, with what it most likely stands for",
        (
            "tests/slides/test_pixel_size.py::test_an_unusual_number_is_questioned_wherever_it_comes_from",
            "tests/slides/test_pixel_size.py::test_a_number_in_another_unit_is_refused_with_what_it_looks_like",
            "tests/slides/test_pixel_size.py::test_pixels_that_are_not_square_are_questioned",
        ),
    ),
    "W8": (
        "DICOM whose pixels are YCbCr although its header says otherwise",
        "the compressed pixels tell, and are shown as RGB, with a note; what cannot be told is questioned",
        ("tests/slides/test_dicom_colour.py",),
    ),
    "W10": (
        "the middle of a file is replaced; its ends and its size stay",
        "the fingerprint samples the whole file, and the sizes of all stored tiles",
        ("tests/slides/test_fingerprint.py",),
    ),
    "W15": (
        "metadata that give 28.97 µm per pixel",
        "the number is shown, and questioned or not used; --mpp with another number stops",
        ("tests/slides/test_pixel_size.py::test_what_metadata_say_of_an_overview_is_shown_and_contradicts",),
    ),
    "W16": (
        "a file that holds only a label or macro image",
        "refused, by its name, its description and its size",
        ("tests/slides/test_image_choice.py::test_a_file_that_holds_only_another_picture_of_the_slide_is_refused",),
    ),
    "S3": (
        "1 of 35 stored tiles is damaged",
        "the slide opens; outside the region it costs nothing; with slide.skip_unreadable it is left out and counted",
        ("tests/slides/test_unreadable_tiles.py", "tests/run/test_unreadable.py"),
    ),
    "S8": (
        "the pixel size in ImageJ's description, or in a companion file of an OME-TIFF",
        "it is read",
        (
            "tests/slides/test_pixel_size.py::test_imagej_says_its_unit_in_the_description",
            "tests/slides/test_pixel_size.py::test_a_companion_file_tells_the_pixel_size_of_each_file",
        ),
    ),
    "S10": (
        "a slide, or a part of one, that may not be read",
        "an error of ours that names the file; the tests drop the rights of root",
        (
            "tests/slides/test_damaged.py::test_a_file_without_permission_is_reported",
            "tests/slides/test_gate.py::test_a_part_of_a_slide_that_may_not_be_read_is_named",
        ),
    ),
    "S9": (
        "lowest versions, plug-ins as declared",
        "lowest versions are tested; a plug-in is a package found by its entry point",
        ("tests/test_lowest_versions.py", "tests/test_plugins.py"),
    ),
    "X1": (
        "another user of this machine connects to scheduler, nanny, worker and dashboard",
        "TLS with a key for each run; no pages; threads of one process open no port",
        (
            "tests/compute/test_private.py::test_another_user_gets_into_no_scheduler_worker_or_nanny",
            "tests/compute/test_private.py::test_threads_of_this_process_listen_nowhere",
            "tests/compute/test_private.py::TestJobs::test_workers_in_jobs_use_tls_and_show_no_pages",
        ),
    ),
    "X2": (
        "plan.pickle is exchanged by somebody who may write into the folder; another user looks into it",
        "its hash comes with the task and is checked first; work folders are private",
        (
            "tests/compute/test_sealed.py",
            "tests/run/test_work.py::TestRights",
            "tests/run/test_work.py::TestSharing",
            "tests/test_unpickling.py",
        ),
    ),
    "X3": (
        "a formula, an escape sequence, markup or an image tag as a name",
        "one function for each place escapes it",
        (
            "tests/test_text.py",
            "tests/exporters/test_csv.py::test_no_text_is_run_as_a_formula",
            "tests/cohort/test_tables.py::TestColumns",
            "tests/cohort/test_tables.py::TestSummary",
        ),
    ),
    "X4": (
        "a file with secrets given as --config",
        "no line, no key and no value of it is shown",
        ("tests/test_settings.py::test_nothing_of_a_wrong_file_is_shown",),
    ),
    "L2": (
        "an output named like an input, two outputs of one name, --fix onto another file",
        "refused before the work, with both names; a file of that name is kept",
        (
            "tests/test_gates.py::test_outputs_are_no_inputs",
            "tests/cli/test_evaluate.py::TestGates",
            "tests/cli/test_check.py::test_a_file_that_fix_did_not_write_is_never_written_over",
        ),
    ),
    "W7": (
        "a slide without pixel size",
        "the error points to preview, which estimates it and draws nuclei beside rulers",
        (
            "tests/cli/test_unknown_pixel_size.py::test_the_error_points_to_preview_and_names_no_usual_number",
            "tests/cli/test_unknown_pixel_size.py::test_preview_estimates_it_and_says_what_comes_next",
        ),
    ),
    "S5": (
        "a small file of annotations that unpacks to gigabytes, or repeats what it holds",
        "bounds on one value, on totals and on messages",
        ("tests/annotations/test_hostile.py", "tests/test_settings.py::test_a_file_that_grows_is_refused"),
    ),
    "S6": (
        "pipes, sockets, devices, long names, deep nesting, a full or closed output, LC_ALL=C",
        "one sentence at every entrance; what nobody foresaw goes to a file that is named",
        (
            "tests/cli/test_last_catch.py",
            "tests/slides/test_gate.py",
            "tests/cli/test_check.py::test_pipes_and_impossible_names_stop_no_other",
        ),
    ),
    "Q1": (
        "the first feature of a file is of a derived class",
        "the first object of each class comes first, in every part; a class without one is told",
        (
            "tests/exporters/test_geojson_parts.py::test_a_class_comes_before_its_unsure_objects_in_every_part",
            "tests/exporters/test_geojson_parts.py::test_a_class_with_unsure_objects_only_is_told",
            "tests/qupath/test_check.py::test_an_object_of_a_class_comes_before_those_derived_from_it",
            "tests/workflows/test_qupath_scripts.py::test_classes_get_their_colours_before_any_object_comes",
        ),
    ),
    "Q2": (
        "a class with a line break, a blank or an empty part",
        "refused in settings; free text is made safe",
        (
            "tests/test_settings.py::test_a_class_that_qupath_refuses_is_refused",
            "tests/test_prompts.py::test_any_words_become_a_class_that_qupath_takes_and_counts",
        ),
    ),
    "Q3": (
        "planes, types, measurements and child objects that QuPath refuses",
        "named by check, and repaired by --fix",
        (
            "tests/qupath/test_check.py::test_a_broken_rule_is_named_and_repaired",
            "tests/qupath/test_check.py::test_a_child_object_that_is_not_a_feature_is_refused_and_repaired",
            "tests/qupath/test_check.py::test_a_collection_among_the_features_is_refused_and_unpacked",
            "tests/qupath/test_check.py::test_of_several_lists_of_features_none_is_lost",
        ),
    ),
    "Q4": (
        "colours of null, pinches, features without type: QuPath takes them",
        "a warning that says what happens, and exit code 0",
        ("tests/qupath/test_check.py::test_a_broken_rule_is_named_and_repaired",),
    ),
    "Q5": (
        "the Groovy import on v0.4",
        "one line: it needs QuPath v0.5",
        ("tests/workflows/test_qupath_scripts.py::test_v0_4_is_told_in_one_line_that_it_is_too_old",),
    ),
    "W1": (
        "a black canvas or a black line beside tissue, more glass in view",
        "samples lie on tissue alone, without black and glass; a threshold at its bound is cautioned",
        (
            "tests/tissue/test_samples.py::test_black_canvas_and_black_lines_change_no_estimate",
            "tests/tissue/test_samples.py::test_glass_around_tissue_changes_no_estimate",
            "tests/tissue/test_samples.py::test_few_pixels_and_a_threshold_at_its_bound_are_cautioned",
            "tests/models/test_foreign_pixels.py::test_black_and_ink_change_no_counts",
        ),
    ),
    "W2": (
        "black where nothing was scanned counts as pen ink",
        "wide black, or black at the frame, is no ink and takes nothing from tissue",
        (
            "tests/tissue/test_areas.py::test_black_where_nothing_was_scanned_takes_no_tissue",
            "tests/tissue/test_areas.py::test_wide_black_inside_a_slide_is_no_ink",
        ),
    ),
    "W14": (
        "the stain is estimated from blank canvas at the edges, or from pen ink",
        "samples are clipped to slide and tissue, edges are mirrored; a tile run as a slide gives the tile's figures",
        (
            "tests/tissue/test_samples.py::test_a_frame_that_reaches_beyond_the_slide_adds_no_white",
            "tests/tissue/test_samples.py::test_ink_changes_no_estimate",
            "tests/models/test_tiles_as_slides.py",
        ),
    ),
    "W17": (
        "Ki67 with a blue counterstain is no tissue",
        "tissue is found by its density, blue counterstain is no ink, and another stain is cautioned",
        (
            "tests/tissue/test_areas.py::test_immunohistochemistry_is_tissue",
            "tests/tissue/test_areas.py::test_blue_ink_on_immunohistochemistry_is_no_tissue",
            "tests/tissue/test_colours_of_slides.py::test_immunohistochemistry",
        ),
    ),
    "W18": (
        "large nuclei are found in two or more parts",
        "a valley that cuts a nucleus must be the deeper, the wider the nucleus is there and the surer its mask",
        ("tests/objects/test_split.py::TestScale", "tests/workflows/test_parts.py"),
    ),
}

EXPECTED = {
    *(f"L{number}" for number in range(1, 7)),
    *(f"W{number}" for number in range(1, 19)),
    *(f"S{number}" for number in range(1, 11)),
    *(f"X{number}" for number in range(1, 5)),
    *(f"Q{number}" for number in range(1, 6)),
}


def test_no_kind_is_left_out() -> None:
    assert set(FAULTS) == EXPECTED


@pytest.mark.parametrize("kind", FAULTS)
def test_its_tests_are_there(kind: str) -> None:
    case, now, tests = FAULTS[kind]
    assert case
    assert now
    assert tests
    for test in tests:
        name, *parts = test.split("::")
        nodes: list[ast.stmt] = ast.parse((ROOT / name).read_text(encoding="utf-8")).body
        assert any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in nodes), f"{test} holds no test"
        for part in parts:
            found = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part]
            assert len(found) == 1, f"There is no {test}"
            nodes = found[0].body
