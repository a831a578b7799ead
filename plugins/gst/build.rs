//! Puts version and release date of the plugin into the environment of the compiler.

fn main() {
    gst_plugin_version_helper::info()
}
