"""Fit the pixel-size estimate on labelled tiles, and print how well it does on groups and sets that it did not see."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflows.pixel_size.fit import errors, fit, pooled
from workflows.pixel_size.samples import Sample, count_of, samples
from wsi_parse.files import write_text

_FOLDS, _SEED, _EPOCHS, _EPOCHS_OF_A_FOLD = 5, 1, 150, 50


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m workflows.pixel_size", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where the weights are written, as JSON")
    given = parser.parse_args()
    found = [*samples(given.data, _SEED)]
    print("samples:", count_of(found))
    write_text(given.out, json.dumps(fit(found, 0, _EPOCHS).weights()))
    groups = sorted({sample.group for sample in found})
    np.random.default_rng(_SEED).shuffle(groups)
    folds = [set(groups[start::_FOLDS]) for start in range(_FOLDS)]
    print_errors("groups that were not seen", found, folds)
    names = sorted({sample.set_name for sample in found})
    print_errors("sets that were not seen", found, [{g for g in groups if g.split()[0] == name} for name in names])


def print_errors(title: str, found: Sequence[Sample], folds: Sequence[set[str]]) -> None:
    """Fit without each fold, and print the errors on it, in octaves."""
    print(f"{title}: median, standard deviation, share beyond a factor of 1.5")
    seen: dict[str, list[float]] = {}
    for fold in folds:
        network = fit([one for one in found if one.group not in fold], 0, _EPOCHS_OF_A_FOLD)
        single = [one for one in found if one.group in fold]
        for kind, members in (("one field", single), ("several fields", pooled(single, _SEED))):
            if members:
                for one, error in zip(members, errors(network, members).tolist(), strict=True):
                    seen.setdefault(f"{one.set_name}, {kind}", []).append(error)
    for name, values in sorted(seen.items()):
        beyond = np.mean(np.abs(values) > np.log2(1.5))
        print(f"  {name:26s} {np.median(values):+.2f} {np.std(values):.2f} {beyond:.0%}  of {len(values)}")


if __name__ == "__main__":
    main()
