"""Nothing is read in a way that may run code, but for the places of this list, each with the reason why it is safe."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Calls that may run code that stands in what they read; whatever comes before the last two names.
RUN_CODE = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads",
    "dill.load", "dill.loads",
    "marshal.load", "marshal.loads", "shelve.open", "joblib.load", "np.load", "numpy.load", "np.fromfile", "torch.load",
    "torch.hub.load", "torch.jit.load", "pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.load_all",
    "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "compile", "builtins.eval", "builtins.exec", "os.system",
    "subprocess.getoutput", "runpy.run_path", "hub.load_state_dict_from_url",
}  # fmt: skip
#: File -> call -> (times, why nobody else can have written what is read).
ALLOWED = {
    "wsi_parse/compute/sealed.py": {"pickle.loads": (1, "the hash of the file came with the task")},
    "wsi_parse/compute/worker.py": {"pickle.loads": (1, "of bytes that the line itself has pickled: errors of ours")},
    "wsi_parse/objects/chunk_objects.py": {"np.load": (1, "allow_pickle=False")},
    "wsi_parse/models/biomedparse/convert.py": {"torch.load": (2, "weights_only=True")},
    "wsi_parse/settings/config.py": {"yaml.load": (1, "a SafeLoader of ours")},
    "wsi_parse/viewer/file_layer.py": {"np.load": (1, "allow_pickle=False")},
    "wsi_parse/viewer/store.py": {"np.load": (2, "allow_pickle=False")},
    "wsi_parse/testing/readers.py": {"pickle.loads": (1, "of bytes that the test has pickled")},
    "wsi_parse/testing/segmenters.py": {"pickle.loads": (3, "of bytes that the test has pickled")},
}
#: Argument that makes a call safe.
SAFE = {"np.load": ("allow_pickle", False), "torch.load": ("weights_only", True)}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield file, name and call of everything that may run code."""
    for path in sorted((ROOT / "wsi_parse").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ".".join(ast.unparse(node.func).split(".")[-2:])
                if name in RUN_CODE:
                    yield path.relative_to(ROOT).as_posix(), name, node


def test_only_these_places_may_run_what_they_read() -> None:
    found: dict[str, dict[str, int]] = {}
    for file, name, _ in calls():
        of_file = found.setdefault(file, {})
        of_file[name] = of_file.get(name, 0) + 1
    assert found == {file: {name: times for name, (times, _) in names.items()} for file, names in ALLOWED.items()}


def test_arrays_and_weights_are_read_as_data_only() -> None:
    for file, name, node in calls():
        if name in SAFE:
            argument, value = SAFE[name]
            given = {item.arg: ast.literal_eval(item.value) for item in node.keywords if item.arg == argument}
            assert given == {argument: value}, f"{file}: {ast.unparse(node)}"


def test_no_name_is_imported_so_that_the_search_would_miss_it() -> None:
    dangerous = {name.rpartition(".")[2] for name in RUN_CODE if "." in name} - {"open", "load", "compile"}
    modules = {name.partition(".")[0] for name in RUN_CODE} - {"np", "pd", "hub"}
    for path in sorted((ROOT / "wsi_parse").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in modules:
                assert not {item.name for item in node.names} & (dangerous | {"load", "loads"}), path
