"""What is fixed of the embedded model, and can be told without loading it."""

from pathlib import Path

EMBEDDED = Path(__file__).with_name("mini.safetensors")
#: Classes of a nucleus, in the order of the class channels.
CLASSES = ("neoplastic", "epithelial", "inflammatory", "connective", "other")
#: What the network reads, and how much coarser it answers with classes.
READ_MPP = 0.5
CLASS_STRIDE = 2
#: Prompt -> class.
CLASS_OF = {
    "neoplastic cells": "neoplastic",
    "epithelial cells": "epithelial",
    "inflammatory cells": "inflammatory",
    "connective tissue cells": "connective",
}
#: A nucleus whose class has less than this, on average over its pixels, is "unsure".
MIN_CLASS_PROBABILITY = 0.7
CAUTION = (
    "Experimental: mini learnt cell classes from labels of colon only (at most 16 patients); in breast and normal "
    "organs they were guessed from size and shape. Of the nuclei of normal tissue it calls 3 % neoplastic where the "
    "tissue is like what it learnt from, and 17 % on a slide of skin that was not."
)
#: In place of it, where a user brings weights.
CAUTION_OF_OWN = (
    "Experimental: cell classes of weights of your own. What mini's card tells of its classes does not hold for them; "
    "figures.json beside them tells what was measured."
)
