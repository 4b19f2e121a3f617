"""From pixels to the maps of the model: the grid of tiles, inference, the tile store and stitching."""
