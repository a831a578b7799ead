//! What `facesr` can do: one command a module, each with its own arguments.

pub(crate) mod batch;
pub(crate) mod doctor;
pub(crate) mod enhance;
pub(crate) mod harvest;
pub(crate) mod image;
pub(crate) mod manual;
pub(crate) mod serve;
pub(crate) mod view;
