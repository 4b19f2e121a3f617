"""The process of one check: it writes each finding as a line of JSON, as soon as it has it."""

import json
import sys

from wsi_parse.doctor.checks import run_check
from wsi_parse.doctor.finding import REINSTALL, Finding, without_home
from wsi_parse.errors import WsiParseError


def main(name: str, place: str) -> None:
    """Run a check; an error that it did not expect is a finding, too."""
    # Libraries print to standard output as they like; what goes there from now on is shown to nobody.
    lines, sys.stdout = sys.stdout, sys.stderr

    def tell(finding: Finding) -> None:
        print(json.dumps(finding.to_dict()), file=lines, flush=True)

    try:
        for finding in run_check(name, place):
            tell(finding)
    except WsiParseError as error:
        tell(Finding(name, name, "fail", error.message, error.remedy))
    except Exception as error:  # noqa: BLE001 - it is what the doctor was asked for
        text = without_home(" ".join(f"{type(error).__name__}: {error}".split()).rstrip("."))
        tell(Finding(name, name, "fail", f"The check failed: {text}.", REINSTALL))


if __name__ == "__main__":
    main(*sys.argv[1:])
