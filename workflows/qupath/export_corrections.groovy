/* Exports the objects of the open image, or of all images (Run > Run for project), as GeoJSON: for wsi-parse evaluate,
   or for training. Writes one file per image into the folder given by -a, else into `corrected` beside the project. */
import static qupath.lib.gui.scripting.QPEx.*

def folder = new File(binding.hasVariable("args") && args ? args[0] : buildFilePath(PROJECT_BASE_DIR, "corrected"))
def image = getProjectEntry().getImageName()
def objects = getAllObjects(false)
if (objects.isEmpty()) {
    println "${image}: there are no objects to export"
    return
}
folder.mkdirs()
// The whole name, because x.svs and x.ndpi are two images. Characters that are invalid in file names become "_".
def file = new File(folder, image.replaceAll(/[\\\/:*?"<>|]/, "_") + ".geojson")
exportAllObjectsToGeoJson(file.getAbsolutePath(), "FEATURE_COLLECTION")
println "${image}: ${objects.size()} objects written to ${file}"
