package qupath.lib.gui.scripting

import com.google.gson.GsonBuilder

/** What the scripts use of QuPath's own class: one open image. */
class QPEx {
    static final String PROJECT_BASE_DIR = "{%PROJECT}"
    static String project
    static def entry, server
    static List objects = []
    static List classes = []
    /** Whether an object was parsed, which makes its class. */
    static boolean parsed

    static def getProjectEntry() { entry }
    static def getCurrentServer() { server }
    static Collection getAllObjects(boolean withRoot) { assert !withRoot; new ArrayList(objects) }
    static String getPathClass(String name, Integer colour) { assert !parsed; classes.add([name, colour]); name }
    static boolean addObjects(Collection added) { objects.addAll(added) }
    static void fireHierarchyUpdate() {}
    static String buildFilePath(String... parts) { parts.join(File.separator).replace(PROJECT_BASE_DIR, project) }

    static void exportAllObjectsToGeoJson(String path, String... options) {
        assert options == ["FEATURE_COLLECTION"] as String[]
        def features = objects.collect { [type: "Feature", id: it.getID().toString(), geometry: it.geometry] }
        new File(path).text = new GsonBuilder().create().toJson([type: "FeatureCollection", features: features])
    }
}
