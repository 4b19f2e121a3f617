"""What GitHub reads: it parses, names what exists, and asks for no more than it needs. Nobody has run it yet."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
WORKFLOW = GITHUB / "workflows" / "test.yml"
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps() -> list[dict[str, Any]]:
    return [step for job in loaded(WORKFLOW)["jobs"].values() for step in job["steps"]]


def test_the_workflow_may_only_read() -> None:
    assert loaded(WORKFLOW)["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in loaded(WORKFLOW)["jobs"].values())


def test_actions_are_pinned() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


def test_paths_in_the_workflow_exist() -> None:
    """pytest ignores in silence what is to be ignored and is not there."""
    named = [path for step in steps() for path in re.findall(r"--ignore=(\S+)", step.get("run", ""))]
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_no_test_runs_as_if_the_data_were_there() -> None:
    testing = [step for step in steps() if re.search(r"\.ci/run|make|pytest", step.get("run", ""))]
    assert len(testing) == len(loaded(WORKFLOW)["jobs"])
    assert all(step["env"]["CI"] not in ("true", True) for step in testing)


def test_every_python_that_is_promised_is_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = {kind.rpartition(" ")[2] for kind in project["classifiers"] if "Python :: 3." in kind}
    for job in loaded(WORKFLOW)["jobs"].values():
        assert promised <= set(job["strategy"]["matrix"]["python"])


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_forms_are_as_github_wants_them(path: Path) -> None:
    form = loaded(path)
    assert {"name", "description", "body"} <= set(form)
    fields = [item for item in form["body"] if item["type"] != "markdown"]
    assert all(item["attributes"]["label"] for item in fields)
    assert len({item["id"] for item in fields}) == len(fields)


def test_hooks_are_those_of_make_lint() -> None:
    hooks = [hook for repo in loaded(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    entries = {hook["entry"] for hook in hooks if hook.get("language") == "system"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lint = makefile[makefile.index("\nlint:") : makefile.index("\nformat:")]
    assert entries == {f".venv/bin/{command}" for command in re.findall(r"\$\(BIN\)/(.+)", lint)}
