"""From the maps of the model to objects: chunks are split, outlined, simplified and measured."""
