"""What a tile teaches: its truth with guesses, or with the nuclei that its points mark."""

from functools import cache

from workflows.train_mini.guesses import guessed
from workflows.train_mini.measure import predict
from workflows.train_mini.points import with_nuclei
from workflows.train_mini.settings import SetSettings
from workflows.train_mini.tiles import TILE_MPP, Tile
from wsi_parse.models.device import choose_device
from wsi_parse.models.mini.facts import EMBEDDED
from wsi_parse.models.mini.network import MiniNetwork, fuse
from wsi_parse.models.mini.weights import load_network


def taught(tile: Tile, of_set: SetSettings) -> Tile:
    """Return a tile as a network learns from it; nuclei at points are found with the embedded network."""
    if of_set.guess_classes:
        tile = guessed(tile, of_set)
    if tile.centres is None:
        return tile
    network = _embedded()
    return with_nuclei(tile, lambda image: predict(network, image)).at(TILE_MPP)


@cache
def _embedded() -> MiniNetwork:
    network: MiniNetwork = fuse(load_network(EMBEDDED)).to(choose_device("auto"))
    return network
