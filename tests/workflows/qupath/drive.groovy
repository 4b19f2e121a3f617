/* Runs a script as QuPath does for a project: drive.groovy SCRIPT SCENARIO.json [ARGUMENT ...] */
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import qupath.lib.gui.scripting.QPEx
import qupath.lib.objects.PathObject

def request = new JsonSlurper().parse(new File(args[1]))
QPEx.project = request.project
def after = request.images.collect { image ->
    QPEx.entry = new Expando(getImageName: { image.name })
    QPEx.server = new Expando(getWidth: { image.width }, getHeight: { image.height })
    QPEx.objects = image.ids.collect { new PathObject(id: UUID.fromString(it), geometry: [:]) }
    QPEx.classes = []
    QPEx.parsed = false
    def printed = new StringWriter()
    def binding = new Binding(args: args.size() > 2 ? args[2..-1] as String[] : [] as String[], out: new PrintWriter(printed, true))
    def failed = null
    try {
        new GroovyShell(this.class.classLoader, binding).evaluate(new File(args[0]))
    } catch (Exception error) {
        failed = error.message
    }
    [printed: printed.toString(), failed: failed, classes: QPEx.classes, objects: QPEx.objects.collect {
        [id: it.ID.toString(), geometry: it.geometry, nucleus: it.nucleus, properties: it.properties]
    }]
}
println JsonOutput.toJson(after)
