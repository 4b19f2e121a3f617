package qupath.lib.objects

import java.awt.geom.AffineTransform

class PathObjectTools {
    static PathObject transformObject(PathObject one, AffineTransform transform, boolean copyMeasurements, boolean newId) {
        assert copyMeasurements
        new PathObject(id: newId ? UUID.randomUUID() : one.id, geometry: moved(one.geometry, transform),
            nucleus: moved(one.nucleus, transform), properties: one.properties)
    }

    private static Map moved(Map geometry, AffineTransform by) {
        geometry == null ? null : [type: geometry.type, coordinates: shifted(geometry.coordinates, by)]
    }

    private static List shifted(List points, AffineTransform by) {
        points[0] instanceof List ? points.collect { shifted(it, by) } :
            [points[0] + by.getTranslateX(), points[1] + by.getTranslateY()]
    }
}
