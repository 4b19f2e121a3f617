"""Loads weights into a network: memory-mapped, without a second copy, on its device."""

import torch

from wsi_parse.models.biomedparse.convert import read_converted
from wsi_parse.models.biomedparse.network import BiomedParse
from wsi_parse.models.biomedparse.tensor_names import to_network_names
from wsi_parse.models.weights import Weights


def load(weights: Weights, device: torch.device) -> BiomedParse:
    """Build the network around mapped weights.

    Parameters
    ----------
    weights : Weights
        Their hash is checked before they are used.
    device : torch.device
        On the CPU the parameters are views of the file; a GPU gets a copy, tensor by tensor.
    """
    weights.check()
    sizes, tensors = read_converted(weights.path)
    # Parameters without memory are replaced by those of the file, so that there are never two copies.
    with torch.device("meta"):
        network = BiomedParse(sizes)
    network.load_state_dict(to_network_names(tensors), strict=True, assign=True)
    del tensors
    network.text.set_positions()
    network.requires_grad_(False)
    return network.eval().to(device)
