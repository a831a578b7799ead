//! Errors of the engine as GStreamer tells them.

use facesr::ModelError;
use facesr::error::RuntimeError;

/// The element error for a model that cannot be used. The engine's text names file and remedy, so
/// it is the message; GStreamer's domain and code only sort it.
pub(crate) fn model(error: &ModelError) -> gst::ErrorMessage {
    match error {
        ModelError::Missing { .. }
        | ModelError::NotFound { .. }
        | ModelError::Runtime(RuntimeError::NotFound { .. }) => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{error}"))
        }
        ModelError::Read { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
        ModelError::Runtime(_) => gst::error_msg!(gst::LibraryError::Init, ("{error}")),
        _ => gst::error_msg!(gst::LibraryError::Settings, ("{error}")),
    }
}
