//! Why caps are refused, in words, and what to put before the element.
//!
//! GStreamer says no more than "not-negotiated". Frames in a device's memory are not mapped here on
//! trust: a tiled or compressed layout, which the modifier of DRM caps tells and a plain mapping
//! does not undo, would give garbage.

/// Kinds of memory, and what brings frames out of it.
const MEMORIES: [(&str, &str); 6] = [
    (
        "memory:DMABuf",
        "vapostproc ! video/x-raw (VA-API), v4l2convert (V4L2), or glupload ! glcolorconvert ! gldownload",
    ),
    ("memory:VAMemory", "vapostproc ! video/x-raw"),
    ("memory:VASurface", "vaapipostproc ! video/x-raw"),
    ("memory:GLMemory", "glcolorconvert ! gldownload"),
    ("memory:CUDAMemory", "cudadownload"),
    ("memory:NVMM", "nvvidconv ! video/x-raw"),
];

/// Why the elements refuse `caps`, the fixed caps of a stream of frames; `None` where there is
/// nothing to say: these are no frames.
pub(crate) fn reason(caps: &gst::CapsRef) -> Option<String> {
    let structure = caps.structure(0).filter(|s| s.name() == "video/x-raw" && caps.is_fixed())?;
    if let Some(features) = caps.features(0) {
        for (memory, converter) in MEMORIES {
            if features.contains(memory) {
                let drm = structure.get::<&str>("drm-format").ok();
                let layout = drm.map(|drm| format!(" (drm-format {drm})")).unwrap_or_default();
                return Some(format!(
                    "Frames in {memory}{layout} can't be worked on here. Put this before the \
                     element: {converter}"
                ));
            }
        }
        let other = features.iter().find(|feature| feature.starts_with("memory:"));
        if let Some(memory) = other.filter(|memory| *memory != "memory:SystemMemory") {
            return Some(format!(
                "Frames in {memory} can't be worked on here. Put an element before this one that \
                 brings them into system memory"
            ));
        }
    }
    if structure.get::<&str>("interlace-mode").is_ok_and(|mode| mode == "alternate") {
        return Some(
            "Fields that come in buffers of their own (interlace-mode=alternate) can't be worked \
             on here. Put this before the element: deinterlace"
                .into(),
        );
    }
    let format = structure.get::<&str>("format").ok()?;
    let known = crate::frame_map::is_known(format);
    (!known).then(|| {
        format!(
            "Frames of the format {format} can't be worked on here. Put this before the element: \
             videoconvert"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_what_to_put_before_the_element() {
        gst::init().unwrap();
        let size = "width=64,height=64,framerate=25/1";
        for (caps, words) in [
            (
                "video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=NV12:0x0100000000000002",
                ["NV12:0x0100000000000002", "v4l2convert"],
            ),
            ("video/x-raw(memory:DMABuf),format=NV12", ["memory:DMABuf", "vapostproc"]),
            ("video/x-raw(memory:VAMemory),format=NV12", ["memory:VAMemory", "vapostproc"]),
            ("video/x-raw(memory:GLMemory),format=RGBA", ["memory:GLMemory", "gldownload"]),
            ("video/x-raw(memory:Other),format=NV12", ["memory:Other", "system memory"]),
            ("video/x-raw,format=NV12_4L4", ["NV12_4L4", "videoconvert"]),
            ("video/x-raw,format=P010_10LE", ["P010_10LE", "videoconvert"]),
            ("video/x-raw,format=NV12,interlace-mode=alternate", ["alternate", "deinterlace"]),
        ] {
            let caps: gst::Caps = format!("{caps},{size}").parse().unwrap();
            let reason = reason(&caps).unwrap();
            assert!(words.iter().all(|word| reason.contains(word)), "{caps}: {reason}");
        }
        for caps in ["video/x-raw,format=NV12", "audio/x-raw,format=S16LE", "video/x-h264"] {
            let caps: gst::Caps = format!("{caps},{size}").parse().unwrap();
            assert_eq!(reason(&caps), None);
        }
        // Whoever only asks what might be is not told.
        let open: gst::Caps = "video/x-raw(memory:DMABuf),format={NV12,NV21}".parse().unwrap();
        assert_eq!(reason(&open), None);
    }
}
