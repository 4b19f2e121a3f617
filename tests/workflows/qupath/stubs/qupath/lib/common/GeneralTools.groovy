package qupath.lib.common

class GeneralTools {
    static String stripExtension(String name) {
        def ending = name.toLowerCase().find(/\.ome\.tiff?$|\.[a-z0-9]+$/)
        ending ? name[0..<(name.size() - ending.size())] : name
    }
}
