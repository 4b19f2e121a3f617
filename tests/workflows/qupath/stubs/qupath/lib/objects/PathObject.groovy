package qupath.lib.objects

/** An object: what is needed to see that it came whole, to its place, under its id. */
class PathObject {
    UUID id
    Map geometry
    Map nucleus
    Map properties

    UUID getID() { id }
}
