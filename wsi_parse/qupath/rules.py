"""What QuPath v0.4 to v0.7 demand of a file, each rule stated once: for the writer, and for `wsi-parse check`.

Learnt by running QuPath's import (facts of DESIGN.md). One refused feature, and nothing of the file is imported.
A warning is about what is imported, but not as it was meant.
"""

import re
from dataclasses import dataclass

UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
AREAS = ("Polygon", "MultiPolygon")
MAX_MB = 400
MAX_ANNOTATIONS = 5_000
#: QuPath v0.6 and later round to hundredths of a pixel.
STEPS_PER_PIXEL = 100
#: From here on float32 has no quarters of a pixel.
MAX_QUARTER_PX = 2**24 // 4
#: What QuPath imports.
FILE_ENDINGS = (".geojson", ".json", ".geojson.gz", ".json.gz")
#: From here on float32 is infinite.
INFINITE = 2.0**128 - 2.0**103


@dataclass(frozen=True)
class QuPathRule:
    """One demand.

    Parameters
    ----------
    name : str
        Short, for machines and tables.
    wrong : str
        What breaks it; goes on after "Feature 7".
    remedy : str
        What to do.
    refused : bool
        Whether QuPath (one of its versions at least) refuses the file for it; else a warning.
    """

    name: str
    wrong: str
    remedy: str
    refused: bool = True

    def __str__(self) -> str:
        return self.name


_FIT = "Make it valid, then snap it to 0.25 px as the last step."
_OUT = "Leave the key out instead."

ONE_VALUE = QuPathRule(
    "one-value", "begins a new JSON value, as in newline-delimited files", "Write one FeatureCollection."
)
NO_COLLECTION = QuPathRule(
    "no-collection", "stands in a collection that is not of type FeatureCollection", 'Add "type": "FeatureCollection".'
)
NOT_A_FEATURE = QuPathRule("not-a-feature", "is not of type Feature", 'Write {"type": "Feature", "geometry": …}.')
NULL_KEY = QuPathRule("null-key", "has a key that is null", _OUT)
NOT_TEXT = QuPathRule("not-text", "has something else where text belongs", "Write a string.")
NO_PROPERTIES = QuPathRule("properties", "has properties that are no object", "Write properties as an object, or none.")
NO_GEOMETRY = QuPathRule("no-geometry", "has no geometry", "Leave the feature out.")
NOT_AN_AREA = QuPathRule("not-an-area", "is neither a Polygon nor a MultiPolygon", "Write its polygons only.")
ONE_PART = QuPathRule("one-part", "is a MultiPolygon of one part", "Write it as a Polygon.")
COORDINATES = QuPathRule(
    "coordinates",
    "has coordinates that are no pairs of numbers, or farther out than any slide",
    "Write [x, y] in pixels.",
)
OPEN_RING = QuPathRule(
    "open-ring", "has a ring that is not closed, or of fewer than four points", "End it where it begins."
)
NO_AREA = QuPathRule("no-area", "has no area", "Leave the feature out.")
INVALID = QuPathRule("invalid", "is not valid", _FIT)
SNAPPING = QuPathRule("snapping", "is valid, but not once QuPath has rounded it to 0.01 px or to float32", _FIT)
CLASS_FORM = QuPathRule("class", "has a class that is neither text nor an object with a name", 'Write {"name": …}.')
NO_MEASUREMENTS = QuPathRule("measurements", "has measurements that are no object", 'Write {"name": number, …}.')
CLASS_COLOUR = QuPathRule("class-colour", "has a class without a colour of three integers", "Write color as [r, g, b].")
COLOUR = QuPathRule("colour", "has a colour that is not three integers", "Write color as [r, g, b].")
MEASUREMENT = QuPathRule(
    "measurement", "has a measurement that is no finite number of float32", "Leave out what is not known."
)

NO_ID = QuPathRule("no-id", "has no id, so that corrections cannot be matched", "Give it a UUID.", refused=False)
ID_PLACE = QuPathRule(
    "id-place", "has its id among the properties, where QuPath ignores it", "Put it beside them.", refused=False
)
ID_NOT_UUID = QuPathRule(
    "id-not-uuid", "has an id that is not a UUID; QuPath gives it another", "Use UUIDs.", refused=False
)
DUPLICATE = QuPathRule(
    "duplicate-id", "has the id, or lacking one the content, of a feature before", "Keep one.", refused=False
)
NUCLEUS_PLACE = QuPathRule(
    "nucleus-place",
    "has its nucleusGeometry among the properties, where it is ignored",
    "Put it beside geometry.",
    False,
)
OBJECT_TYPE = QuPathRule(
    "object-type",
    "has an objectType that QuPath takes for annotation",
    "Use annotation, detection, cell or tile.",
    False,
)
ROUNDED = QuPathRule("rounded", "has coordinates finer than the 0.01 px that QuPath keeps", _FIT, refused=False)
FAR = QuPathRule(
    "far",
    f"lies beyond {MAX_QUARTER_PX:,} px, where QuPath's float32 moves its corners",
    "Write pixels of the slide.",
    refused=False,
)
FILE_NAME = QuPathRule(
    "file-name",
    "stands in a file that QuPath does not import by its name",
    "Name it .geojson or .json, or either with .gz.",
    refused=False,
)
TOO_LARGE = QuPathRule(
    "too-large",
    f"makes the file larger than {MAX_MB} MB: QuPath needs 12 to 16 times that",
    "Split the file.",
    False,
)
MANY_ANNOTATIONS = QuPathRule(
    "many-annotations",
    f"is one of more than {MAX_ANNOTATIONS:,} annotations, which QuPath takes minutes to sort",
    "Make cells detections.",
    refused=False,
)
#: What is put right by another geometry.
OF_GEOMETRY = {NOT_AN_AREA, ONE_PART, COORDINATES, OPEN_RING, NO_AREA, INVALID, SNAPPING, ROUNDED, NUCLEUS_PLACE}
RULES = tuple(value for value in list(globals().values()) if isinstance(value, QuPathRule))
