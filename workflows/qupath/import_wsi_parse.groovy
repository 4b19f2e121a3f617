/* Import the results of wsi-parse into the open image, or into all: Run > Run for project. See README.md.
   Research use only, not for clinical decisions.
   Results are found by the slide's name in the folder given by -a, else in wsi-parse-out beside the project. */
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import com.google.gson.stream.JsonReader
import java.awt.geom.AffineTransform
import java.util.zip.GZIPInputStream
import qupath.lib.common.GeneralTools
import qupath.lib.io.GsonTools
import qupath.lib.objects.PathObjectTools
import static qupath.lib.gui.scripting.QPEx.*

def folder = new File(binding.hasVariable("args") && args ? args[0] : buildFilePath(PROJECT_BASE_DIR, "wsi-parse-out"))
def image = getProjectEntry().getImageName()
if (!folder.isDirectory())
    throw new IllegalArgumentException("No folder ${folder}: put the results there, or give theirs by -a.")

// Calls `work` with a reader that stands at the first feature, and what the file says of itself.
def open = { File file, Closure work ->
    def stream = new FileInputStream(file)
    if (file.name.endsWith(".gz"))
        stream = new GZIPInputStream(stream)
    new JsonReader(new InputStreamReader(stream, "UTF-8")).withCloseable { reader ->
        def told = new JsonObject()
        reader.beginObject()
        while (reader.hasNext()) {
            def name = reader.nextName()
            if (name == "wsi_parse")
                told = JsonParser.parseReader(reader).getAsJsonObject()
            else if (name == "features") {
                reader.beginArray()
                return work(reader, told)
            } else
                reader.skipValue()
        }
    }
}

// One folder a slide; two names are the same as they stand, with a series behind, or without their endings.
def ours = ~/(annotations(_\d+)?|tissue)\.geojson(\.gz)?/
def results = [folder, *folder.listFiles().findAll { it.isDirectory() }.sort()].collectEntries { place ->
    [place, place.listFiles().findAll { it.name ==~ ours }.sort { it.name }]
}.findAll { place, files -> files }
def slides = results.collectEntries { place, files -> [place, open(files[0]) { reader, told -> told.get("slide") }] }
    .findAll { place, slide -> slide != null }
def named = { Closure same -> slides.findAll { place, slide -> same(slide.get("name").getAsString()) }.keySet() as List }
def found = named { it == image } ?: named { image.startsWith(it + " - ") || image.startsWith(it + " [") } ?:
    named { GeneralTools.stripExtension(it) == GeneralTools.stripExtension(image) }
if (found.isEmpty()) {
    println "${image}: no result of this name in ${folder}"
    return
}
if (found.size() > 1)
    throw new IllegalStateException("${image}: several results of this name: ${found*.name.join(', ')}")

// Where the image that is shown begins: at the slide's corner, or at its bounds; and where the file counts from.
def slide = slides[found[0]].getAsJsonObject()
def whole = [0, 0, slide.get("width_px").getAsInt(), slide.get("height_px").getAsInt()]
def bounds = slide.get("bounds_level0_px")
def cropped = bounds == null || bounds.isJsonNull() ? whole : bounds.collect { it.getAsInt() }
def server = getCurrentServer()
def shown = [cropped, whole].find { it[2] == server.getWidth() && it[3] == server.getHeight() }
if (shown == null)
    throw new IllegalStateException("${image} is ${server.getWidth()} x ${server.getHeight()} px, the slide of the " +
        "results ${whole[2]} x ${whole[3]} px (its bounds ${cropped[2]} x ${cropped[3]} px): another slide?")

def there = getAllObjects(false).collect { it.getID().toString() } as Set
def added = [], again = 0, refused = [:]
results[found[0]].each { file ->
    open(file) { reader, told ->
        def offset = told.get("offset_level0_px").collect { it.getAsInt() }
        def shift = AffineTransform.getTranslateInstance(offset[0] - shown[0], offset[1] - shown[1])
        while (reader.hasNext()) {
            def feature = JsonParser.parseReader(reader).getAsJsonObject()
            def id = feature.get("id").getAsString()
            if (!there.add(id)) {
                again++
                continue
            }
            try {
                // One at a time: a polygon that cannot be read is one polygon.
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
println "${image}: ${added.size()} objects added, ${again} were there, ${refused.size()} refused" +
    (shown != cropped ? "; the image is not cropped to the slide's bounds" : "")
refused.take(5).each { id, why -> println "  ${id}: ${why}" }
