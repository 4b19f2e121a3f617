/* Imports the results of wsi-parse into the open image, or into all images (Run > Run for project). See README.md.
   Research use only, not for clinical decisions.
   Results are found by the name of the slide in the folder given by -a, else in wsi-parse-out beside the project. */
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import com.google.gson.stream.JsonReader
import java.awt.geom.AffineTransform
import java.util.zip.GZIPInputStream
import qupath.lib.common.GeneralTools
import qupath.lib.io.GsonTools
import qupath.lib.objects.PathObjectTools
import static qupath.lib.gui.scripting.QPEx.*

if (!GsonTools.methods.any { it.name == "parseObjectsFromGeoJSON" }) {
    println "This script needs QuPath v0.5 or later. Nothing was imported."
    return
}
def folder = new File(binding.hasVariable("args") && args ? args[0] : buildFilePath(PROJECT_BASE_DIR, "wsi-parse-out"))
def image = getProjectEntry().getImageName()
if (!folder.isDirectory())
    throw new IllegalArgumentException("There is no folder ${folder}. Put the results there, or, on the command line, give their folder with -a.")

// Calls `work` with a reader at the first feature, and the provenance of the file.
def open = { File file, Closure work ->
    def stream = new FileInputStream(file)
    if (file.name.endsWith(".gz"))
        stream = new GZIPInputStream(stream)
    new JsonReader(new InputStreamReader(stream, "UTF-8")).withCloseable { reader ->
        def provenance = new JsonObject()
        reader.beginObject()
        while (reader.hasNext()) {
            def name = reader.nextName()
            if (name == "wsi_parse")
                provenance = JsonParser.parseReader(reader).getAsJsonObject()
            else if (name == "features") {
                reader.beginArray()
                return work(reader, provenance)
            } else
                reader.skipValue()
        }
    }
}

// One folder per slide. Names match if they are equal, if a series follows the name, or without their endings.
def resultName = ~/(annotations(_\d+)?|tissue)\.geojson(\.gz)?/
def results = [folder, *folder.listFiles().findAll { it.isDirectory() }.sort()].collectEntries { dir ->
    [dir, dir.listFiles().findAll { it.name ==~ resultName }.sort { it.name }]
}.findAll { dir, files -> files }
def runs = results.collectEntries { dir, files -> [dir, open(files[0]) { reader, provenance -> provenance }] }
    .findAll { dir, run -> run?.get("slide") != null }
def named = { Closure same -> runs.findAll { dir, run -> same(run.getAsJsonObject("slide").get("name").getAsString()) }.keySet() as List }
def found = named { it == image } ?: named { image.startsWith(it + " - ") || image.startsWith(it + " [") } ?:
    named { GeneralTools.stripExtension(it) == GeneralTools.stripExtension(image) }
if (found.isEmpty()) {
    println "${image}: there is no result with this name in ${folder}"
    return
}
if (found.size() > 1)
    throw new IllegalStateException("${image}: several results have this name: ${found*.name.join(', ')}. Keep one of them.")

// The origin of the image in QuPath: the corner of the slide, or of its bounds.
def slide = runs[found[0]].getAsJsonObject("slide")
def whole = [0, 0, slide.get("width_px").getAsInt(), slide.get("height_px").getAsInt()]
def bounds = slide.get("bounds_level0_px")
def cropped = bounds == null || bounds.isJsonNull() ? whole : bounds.collect { it.getAsInt() }
def server = getCurrentServer()
def shown = [cropped, whole].find { it[2] == server.getWidth() && it[3] == server.getHeight() }
if (shown == null)
    throw new IllegalStateException("${image} has ${server.getWidth()} x ${server.getHeight()} px, but the slide of the " +
        "results has ${whole[2]} x ${whole[3]} px (its bounds ${cropped[2]} x ${cropped[3]} px). Check whether it is the " +
        "same slide.")

// The first colour that QuPath sees for a class stays; so each class comes before "X: Unsure", which would invent one.
def classes = (runs[found[0]].get("prompts") ?: []).findAll { it.has("colour") }.collectEntries {
    def (red, green, blue) = it.get("colour").collect { part -> part.getAsInt() }
    [it.get("class").getAsString(), (255 << 24) | (red << 16) | (green << 8) | blue]
}
classes.sort { it.key.count(":") }.each { name, colour -> getPathClass(name, colour) }

def known = getAllObjects(false).collect { it.getID().toString() } as Set
def added = [], existing = 0, refused = [:]
results[found[0]].each { file ->
    open(file) { reader, provenance ->
        def offset = provenance.get("offset_level0_px").collect { it.getAsInt() }
        def shift = AffineTransform.getTranslateInstance(offset[0] - shown[0], offset[1] - shown[1])
        while (reader.hasNext()) {
            def feature = JsonParser.parseReader(reader).getAsJsonObject()
            def id = feature.get("id").getAsString()
            if (!known.add(id)) {
                existing++
                continue
            }
            try {
                // One at a time, so that one invalid polygon does not stop the others.
                def objects = GsonTools.parseObjectsFromGeoJSON(feature)
                if (!shift.isIdentity())
                    objects = objects.collect { PathObjectTools.transformObject(it, shift, true, false) }
                added.addAll(objects)
            } catch (Exception error) {
                refused[id] = error.getMessage()
            }
        }
    }
}
addObjects(added)
fireHierarchyUpdate()
println "${image}: ${added.size()} objects added, ${existing} existed already, ${refused.size()} refused" +
    (shown != cropped ? "; the image is not cropped to the slide's bounds" : "")
refused.take(5).each { id, why -> println "  ${id}: ${why}" }
