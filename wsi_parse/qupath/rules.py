"""The rules of QuPath v0.4 to v0.7 for GeoJSON, each stated once, for the writer and for `wsi-parse check`.

They were found by running QuPath's import. If one feature is refused, nothing of the file is imported. A warning is
about a feature that is imported, but not as it was meant.
"""

import re
from dataclasses import dataclass

UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
AREAS = ("Polygon", "MultiPolygon")
MAX_MB = 400
MAX_ANNOTATIONS = 5_000
#: QuPath v0.6 and later round coordinates to hundredths of a pixel.
ROUNDING_STEPS_PER_PIXEL = 100
#: From this coordinate on, float32 cannot hold quarters of a pixel.
MAX_QUARTER_PX = 2**24 // 4
#: Endings of the names of files that QuPath imports.
FILE_ENDINGS = (".geojson", ".json", ".geojson.gz", ".json.gz")
#: From this number on, float32 is infinite.
INFINITE = 2.0**128 - 2.0**103


@dataclass(frozen=True)
class QuPathRule:
    """One rule.

    Parameters
    ----------
    name : str
        Short, for machines and tables.
    wrong : str
        What is wrong with a feature that breaks it; continues the sentence "Feature 7 ...".
    remedy : str
        What to do, as a sentence.
    refused : bool
        Whether at least one version of QuPath refuses the file; else the rule is a warning.
    """

    name: str
    wrong: str
    remedy: str
    refused: bool = True

    def __str__(self) -> str:
        return self.name


_FIT = "Make the geometry valid; as the last step, round its coordinates to multiples of 0.25 px."
_OUT = "Leave out the key."

ONE_VALUE = QuPathRule(
    "one-value",
    "begins a new JSON value, as in newline-delimited files",
    "Write all features into one FeatureCollection.",
)
NO_COLLECTION = QuPathRule(
    "no-collection", "is in a collection that is not of type FeatureCollection", 'Add "type": "FeatureCollection".'
)
NOT_A_FEATURE = QuPathRule("not-a-feature", "is not of type Feature", 'Write {"type": "Feature", "geometry": …}.')
NULL_KEY = QuPathRule("null-key", "has a key that is null", _OUT)
NESTED = QuPathRule(
    "nested-collection",
    "is a FeatureCollection inside a list of features",
    "Write all features into one FeatureCollection.",
)
CHILDREN = QuPathRule(
    "children", "has a child object that is not a Feature", "Write each child object as a Feature, or leave it out."
)
ROOT = QuPathRule(
    "root", "has the object type root, which QuPath keeps for the image", "Use annotation, detection, cell or tile."
)
PLANE = QuPathRule(
    "plane",
    "has a plane that is not made of whole numbers c, z and t, which are not negative",
    "Leave out plane, or write whole numbers.",
)
ELLIPSE = QuPathRule("ellipse", "has isEllipse that is neither true nor false", _OUT)
SHORT_LINE = QuPathRule("short-line", "has a line of a single point", "Write it as a Point, or leave it out.")
NOT_TEXT = QuPathRule("not-text", "has a key whose value must be text but is not", "Write the value as text in quotes.")
NO_PROPERTIES = QuPathRule(
    "properties", "has properties that are not an object", "Write properties as an object, or leave them out."
)
NO_GEOMETRY = QuPathRule("no-geometry", "has no geometry", "Leave out the feature.")
NOT_AN_AREA = QuPathRule("not-an-area", "is neither a Polygon nor a MultiPolygon", "Write only its polygons.")
ONE_PART = QuPathRule("one-part", "is a MultiPolygon with a single part", "Write it as a Polygon.")
COORDINATES = QuPathRule(
    "coordinates",
    "has coordinates that are not pairs of finite numbers, or that lie farther out than any slide",
    "Write [x, y] in pixels.",
)
OPEN_RING = QuPathRule(
    "open-ring",
    "has a ring that is not closed or has fewer than four points",
    "End each ring with its first point.",
)
NO_AREA = QuPathRule("no-area", "has no area", "Leave out the feature.")
INVALID = QuPathRule("invalid", "has a geometry that is not valid", _FIT)
SNAPPING = QuPathRule(
    "snapping",
    "is not safe: it becomes invalid when it is rounded to 0.01 px or to float32; QuPath v0.6 and later refuse some of "
    "these files",
    _FIT,
    refused=False,
)
PINCHED = QuPathRule(
    "pinched",
    "is not safe: its outline touches itself, or has a spike; QuPath takes it, but other programs refuse it",
    _FIT,
    refused=False,
)
HEIGHT = QuPathRule(
    "height",
    "is not safe: a ring ends at another height than it begins; QuPath ignores heights, but other programs refuse it",
    "Write [x, y] without a height.",
    refused=False,
)
COORDINATE_TEXT = QuPathRule(
    "coordinate-text",
    "is not safe: it has coordinates that are text; QuPath reads them as numbers, but other programs refuse them",
    "Write [x, y] as numbers.",
    refused=False,
)
CLASS_FORM = QuPathRule("class", "has a class that is neither text nor an object with a name", 'Write {"name": …}.')
NO_MEASUREMENTS = QuPathRule("measurements", "has measurements that are not an object", 'Write {"name": number, …}.')
CLASS_COLOUR = QuPathRule(
    "class-colour", "has a class without a colour of three integers", "Write color as [red, green, blue]."
)
COLOUR = QuPathRule("colour", "has a colour that is not three integers", "Write color as [red, green, blue].")
CLASS_NAME = QuPathRule(
    "class-name",
    "has a class whose name QuPath refuses",
    "Give it a name in one line, with text before and after each colon.",
)
COLOUR_FORM = QuPathRule(
    "colour-form",
    "is not safe: it has a colour that is null, text or has a decimal point; QuPath takes it, but may show another one",
    "Write color as [red, green, blue] in whole numbers.",
    refused=False,
)
MEASUREMENT_NAME = QuPathRule(
    "measurement-name", "has a list of measurements in which one has no name", "Give each measurement a name."
)
MEASUREMENT = QuPathRule(
    "measurement", "has a measurement that is not a finite float32 number", "Leave out measurements that have no value."
)

NO_ID = QuPathRule("no-id", "has no id, so corrections cannot be matched to it", "Give it a UUID.", refused=False)
ID_PLACE = QuPathRule(
    "id-place",
    "has its id in the properties, where QuPath ignores it",
    "Move the id out of the properties, to the feature.",
    refused=False,
)
ID_NOT_UUID = QuPathRule(
    "id-not-uuid", "has an id that is not a UUID, so QuPath gives it another one", "Give it a UUID.", refused=False
)
DUPLICATE = QuPathRule(
    "duplicate-id",
    "has the same id as an earlier feature, or no id and the same content",
    "Keep only one of them.",
    refused=False,
)
NO_TYPE = QuPathRule(
    "no-type",
    'is not safe: it has no "type"; QuPath takes it in a FeatureCollection, but other programs refuse it',
    'Add "type": "Feature".',
    refused=False,
)
NUCLEUS_FORM = QuPathRule(
    "nucleus-form",
    "is not safe: its nucleus is a point or a line; QuPath takes it, but the nucleus has no area",
    "Write the nucleus as a Polygon, or leave it out.",
    refused=False,
)
BASE_CLASS = QuPathRule(
    "base-class",
    "comes before any object of the class that its own class is derived from, so QuPath may choose that class's colour",
    "Write an object of that class first, or set the colour of the class in QuPath.",
    refused=False,
)
SEVERAL_LISTS = QuPathRule(
    "several-lists",
    "is in a file with several lists of features, of which QuPath reads the last one only",
    "Write all features into one list.",
    refused=False,
)
NUCLEUS_PLACE = QuPathRule(
    "nucleus-place",
    "has its nucleusGeometry in the properties, where QuPath ignores it",
    "Move nucleusGeometry out of the properties, beside geometry.",
    False,
)
OBJECT_TYPE = QuPathRule(
    "object-type",
    "has an unknown objectType, which QuPath reads as annotation",
    "Use annotation, detection, cell or tile.",
    False,
)
ROUNDED = QuPathRule("rounded", "has coordinates finer than the 0.01 px that QuPath keeps", _FIT, refused=False)
FAR = QuPathRule(
    "far",
    f"lies beyond {MAX_QUARTER_PX:,} px, where QuPath moves corners because it rounds to float32",
    "Write coordinates in pixels of the slide.",
    refused=False,
)
FILE_NAME = QuPathRule(
    "file-name",
    "is in a file that QuPath does not import because of its name",
    "End the name in .geojson, .json, .geojson.gz or .json.gz.",
    refused=False,
)
TOO_LARGE = QuPathRule(
    "too-large",
    f"makes the file larger than {MAX_MB} MB, and QuPath needs 12 to 16 times that much memory",
    "Split the file.",
    False,
)
MANY_ANNOTATIONS = QuPathRule(
    "many-annotations",
    f"is one of more than {MAX_ANNOTATIONS:,} annotations, which QuPath needs minutes to sort",
    "Write cells as detections.",
    refused=False,
)
#: Rules that are repaired by another geometry.
OF_GEOMETRY = {
    NOT_AN_AREA,
    ONE_PART,
    COORDINATES,
    COORDINATE_TEXT,
    OPEN_RING,
    HEIGHT,
    NO_AREA,
    INVALID,
    PINCHED,
    SNAPPING,
    ROUNDED,
    NUCLEUS_PLACE,
}
RULES = tuple(value for value in list(globals().values()) if isinstance(value, QuPathRule))
