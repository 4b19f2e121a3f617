"""Average the weights of networks that went on from the same one: often better than each, and as fast as one.

python -m workflows.train_mini.average FOLD_0 … FOLD_4 -o mini.safetensors

It only makes sense where all began with the same weights and learnt a little more (Wortsman et al., ICML 2022).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from wsi_parse.models.mini.network import MiniNetwork
from wsi_parse.models.mini.weights import load_network, save_network


def average(networks: Sequence[MiniNetwork]) -> MiniNetwork:
    """Return the mean of all weights and statistics.

    Raises
    ------
    ValueError
        If the networks differ in their widths, or there is none.
    """
    if not networks or len({network.widths for network in networks}) != 1:
        raise ValueError("Networks can be averaged only if they have the same widths.")
    states = [network.state_dict() for network in networks]
    result = MiniNetwork(networks[0].widths)
    result.load_state_dict(
        {
            name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
            for name, value in states[0].items()
        }
    )
    result.eval()
    return result


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m workflows.train_mini.average", description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+", help="weights of the networks")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where the weights are written")
    given = parser.parse_args()
    save_network(average([load_network(path) for path in given.weights]), given.out)


if __name__ == "__main__":
    main()
