package qupath.lib.io

import com.google.gson.Gson
import com.google.gson.JsonElement
import qupath.lib.gui.scripting.QPEx
import qupath.lib.objects.PathObject

class GsonTools {
    /** As QuPath: throws on a polygon that it cannot take, here one of no area. */
    static List<PathObject> parseObjectsFromGeoJSON(JsonElement element) {
        QPEx.parsed = true
        def feature = new Gson().fromJson(element, Map)
        if ((feature.geometry.coordinates.flatten() as Set).size() < 3)
            throw new IllegalArgumentException("Invalid polygon")
        [new PathObject(id: UUID.fromString(feature.id), geometry: feature.geometry, nucleus: feature.nucleusGeometry,
            properties: feature.properties)]
    }
}
