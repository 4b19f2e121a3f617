"""The blocks of code on a page, and what the line before each says of it.

`<!-- not run: REASON -->` stands before a block that cannot run here, `<!-- file: NAME -->` before the content of a
file that the blocks after it use. A reader sees neither.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "workflows" / "README.md")
    # What changed, what was decided, and what was measured once show code of their time.
    if path.name not in ("CHANGELOG.md", "mini_trials.md") and path.parent.name != "decisions"
)
_FENCE = re.compile(r"^(?:<!-- ([^\n]*?) -->\n)?```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Parameters
    ----------
    page : Path
    line : int
        Line of the page at which the text begins.
    mark : str
        The comment on the line before; empty if there is none.
    language : str
        What stands behind the opening fence.
    text : str
    """

    page: Path
    line: int
    mark: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """Name of the file whose content the block is."""
        return self.mark.removeprefix("file: ") if self.mark.startswith("file: ") else None

    @property
    def reason(self) -> str | None:
        """Why the block is not run."""
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run: ") else None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command, without comments and without where the output goes."""
        lines = self.text.replace("\\\n", " ").splitlines()
        found = [shlex.split(line, comments=True) for line in lines]
        return [words[: words.index(">")] if ">" in words else words for words in found if words]

    def __str__(self) -> str:
        """Page and line, for the name of a test."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start(3)) + 1, match[1] or "", match[2].strip(), match[3])
        for match in _FENCE.finditer(text)
    ]
