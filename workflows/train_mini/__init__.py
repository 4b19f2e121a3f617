"""Training of the embedded model: one command, from raw tiles to weights and the tables of the model card."""
