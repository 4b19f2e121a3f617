"""The features of a file one after another, with their numbers and with what is wrong around them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from wsi_parse.annotations.read import children_of, feature_of, flat_features
from wsi_parse.annotations.stream import Features
from wsi_parse.qupath.property_breaches import Breach
from wsi_parse.qupath.rules import CHILDREN, NESTED

Feature = dict[str, Any]
_AT_ONCE = 1_000


class Item(NamedTuple):
    """A feature with its place in the file.

    Parameters
    ----------
    number : int
        Number of the top-level feature in the file, from 1.
    below : int
        Number of the child feature within that one, from 1; 0 is the top-level feature itself.
    feature : dict
        Without its child features.
    faults : tuple of Breach
        Rules that are broken by how features contain one another.
    in_collection : bool
        Whether it is in a FeatureCollection or is a child object.
    is_feature : bool
        False for a collection inside the list of features, whose features follow.
    """

    number: int
    below: int
    feature: Feature
    faults: tuple[Breach, ...] = ()
    in_collection: bool = True
    is_feature: bool = True


def batches(source: Features) -> Iterator[list[Item]]:
    """Yield features in batches, each with its numbers; child features follow their parent."""
    batch: list[Item] = []
    for number, text in enumerate(source, 1):
        value = feature_of(text, number, source.path)
        if source.bare or value.get("type") == "FeatureCollection" or children_of(value):
            for item in _items(number, value, in_collection=source.in_collection):
                batch.append(item)
                if len(batch) >= _AT_ONCE:
                    yield batch
                    batch = []
        else:
            batch.append(Item(number, 0, value, in_collection=source.in_collection))
        if len(batch) >= _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _items(number: int, value: Feature, *, in_collection: bool) -> Iterator[Item]:
    is_collection = value.get("type") == "FeatureCollection"
    if is_collection:
        yield Item(number, 0, {"type": "FeatureCollection"}, ((NESTED, ""),), is_feature=False)
    # A bare geometry counts as a feature if the file has nothing else.
    for below, feature in enumerate(flat_features(value), int(is_collection)):
        fault = _fault_of_children(feature)
        faults = ((CHILDREN, fault),) if fault else ()
        yield Item(number, below, _without_children(feature), faults, in_collection or below > 0)


def _fault_of_children(feature: Feature) -> str:
    """Say what the first child object is that is not a feature; empty if all are."""
    for child in children_of(feature):
        if not isinstance(child, dict):
            return "null" if child is None else str(child)
        if "geometry" not in child:
            return str(child.get("type"))
    return ""


def _without_children(feature: Feature) -> Feature:
    """Return a feature without its child features."""
    if not children_of(feature):
        return feature
    properties = {key: value for key, value in feature["properties"].items() if key not in ("childObjects", "children")}
    return {**feature, "properties": properties}
