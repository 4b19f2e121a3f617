"""Constants of the embedded model that are known without loading it."""

from pathlib import Path

EMBEDDED = Path(__file__).with_name("mini.safetensors")
#: Classes of a nucleus, in the order of the class channels.
CLASSES = ("neoplastic", "epithelial", "inflammatory", "connective", "other")
#: The pixel size that the network reads (µm), and the stride of its class channels.
READ_MPP = 0.5
CLASS_STRIDE = 2
#: Class of each prompt.
CLASS_OF = {
    "neoplastic cells": "neoplastic",
    "epithelial cells": "epithelial",
    "inflammatory cells": "inflammatory",
    "connective tissue cells": "connective",
}
#: Of weights that nobody calibrated, a class is sure if its mean probability over the nucleus is at least this.
MIN_CLASS_PROBABILITY = 0.7
#: What no line makes good; a part of a sentence.
NORMAL_TISSUE = "nuclei of normal tissue, such as breast ducts and skin, may be called neoplastic even so"
#: What is known of the embedded weights.
LIMITATION = (
    "mini learnt the classes of cells from few patients: of colon (outlines of at most 16 patients) and of breast "
    "carcinoma (points, which do not tell tumour from epithelium). Of normal organs it learnt that nothing is "
    "neoplastic; there, the other classes were guessed from organ, size and shape. Its data hold no normal breast and "
    "no skin."
)
#: Replaces LIMITATION if the user provides weights.
LIMITATION_OF_OWN = (
    "These cell classes come from your own weights. The model card of mini does not apply to them; see figures.json "
    "beside the weights for the figures that were measured."
)
