//! Cutting faces out of a frame and blending them back, on one device.
