"""Weights -> a network that can be asked: memory-mapped, one copy, on its device."""

import torch

from wsi_parse.models.biomedparse.convert import read_converted
from wsi_parse.models.biomedparse.names import ours
from wsi_parse.models.biomedparse.network import BiomedParse
from wsi_parse.models.weights import Weights


def load(weights: Weights, device: torch.device) -> BiomedParse:
    """Build the network around mapped weights.

    Parameters
    ----------
    weights : Weights
        Hashed again before they are used.
    device : torch.device
        On the CPU the parameters stay views of the file; a GPU gets a copy, tensor by tensor.
    """
    weights.check()
    sizes, tensors = read_converted(weights.path)
    # Parameters without memory, which then are the file's: never two copies.
    with torch.device("meta"):
        network = BiomedParse(sizes)
    network.load_state_dict(ours(tensors), strict=True, assign=True)
    del tensors
    network.text.place_tokens()
    network.requires_grad_(False)
    return network.eval().to(device)
