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
UNSURE_BELOW = 0.7
CAUTION = (
    "Experimental: mini learnt its cell classes on colon only (16 patients). Of the nuclei of normal tissue it calls "
    "2 % neoplastic where the tissue is like what it learnt from, and 14 % on a slide of skin that was not."
)
