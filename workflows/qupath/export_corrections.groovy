/* Write what is in the open image, or in all (Run > Run for project), as GeoJSON: for wsi-parse evaluate, or to train on.
   Goes to the folder given by -a, else to `corrected` beside the project, a file for each image. */
import static qupath.lib.gui.scripting.QPEx.*

def folder = new File(binding.hasVariable("args") && args ? args[0] : buildFilePath(PROJECT_BASE_DIR, "corrected"))
def image = getProjectEntry().getImageName()
def objects = getAllObjects(false)
if (objects.isEmpty()) {
    println "${image}: nothing to export"
    return
}
folder.mkdirs()
// The whole name: x.svs and x.ndpi are two images. What a file system does not take becomes a line.
def file = new File(folder, image.replaceAll(/[\\\/:*?"<>|]/, "_") + ".geojson")
exportAllObjectsToGeoJson(file.getAbsolutePath(), "FEATURE_COLLECTION")
println "${image}: ${objects.size()} objects in ${file}"
