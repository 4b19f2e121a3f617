"""From the maps of the model to objects: chunks are split into cells, traced, simplified and measured."""
