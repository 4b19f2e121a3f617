package qupath.lib.common

/** QuPath v0.4 cannot take the ending from a name. */
class GeneralTools {
    static String getVersion() { "0.4.4" }
}
