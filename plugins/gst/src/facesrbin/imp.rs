//! Implementation of `facesr`.

use std::sync::{LazyLock, OnceLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::{detect, enhance, settings, video};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("facesrbin", gst::DebugColorFlags::empty(), Some("Face enhancer bin"))
});

/// Frames that may lie between finding and sharpening: while one frame is searched, which takes as
/// long as sharpening several, there is something to do. More than that takes would only add delay.
const QUEUED_FRAMES: u32 = 4;

/// The same in live use. While a single frame takes long, so many can wait; they then pass
/// untouched, one after the other. If it takes still longer the oldest are dropped: the source
/// would drop compressed ones, and spoil the picture for long.
const QUEUED_LIVE_FRAMES: u32 = 16;

/// Properties that both children have, and the bin sets on both.
const SHARED: [&str; 4] = ["threads", "temporal-smoothing", "qos", "live"];

/// The bin.
#[derive(Default)]
pub struct FacesrBin {
    children: OnceLock<Children>,
}

struct Children {
    detect: gst::Element,
    enhance: gst::Element,
}

impl FacesrBin {
    fn build(&self) -> Result<Children, glib::BoolError> {
        let obj = self.obj();
        // The children are made from their types: they need not be registered under their names.
        let child = |kind: glib::Type, name: &str| {
            glib::Object::builder_with_type(kind)
                .property("name", name)
                .build()
                .downcast::<gst::Element>()
                .map_err(|_| glib::bool_error!("{kind} is no element"))
        };
        let detect = child(detect::FacesrDetect::static_type(), "detect")?;
        let enhance = child(enhance::FacesrEnhance::static_type(), "enhance")?;
        let queue = gst::ElementFactory::make("queue")
            .name("queue")
            .property("max-size-buffers", QUEUED_FRAMES)
            .property("max-size-bytes", 0u32)
            .property("max-size-time", 0u64)
            .build()?;
        let weak = queue.downgrade();
        detect.connect_notify(Some("is-live"), move |detect, _| {
            let Some(queue) = weak.upgrade() else { return };
            // A source that is not live would run ahead if frames were dropped for it.
            let mut query = gst::query::Latency::new();
            let live = detect.property::<bool>("is-live")
                && detect.static_pad("sink").is_some_and(|pad| pad.peer_query(&mut query))
                && query.result().0;
            queue.set_property_from_str("leaky", if live { "downstream" } else { "no" });
            let frames = if live { QUEUED_LIVE_FRAMES } else { QUEUED_FRAMES };
            queue.set_property("max-size-buffers", frames);
        });
        obj.add_many([&detect, &queue, &enhance])?;
        gst::Element::link_many([&detect, &queue, &enhance])?;
        for (name, element) in [("sink", &detect), ("src", &enhance)] {
            let (template, target) = obj
                .pad_template(name)
                .zip(element.static_pad(name))
                .ok_or_else(|| glib::bool_error!("no pad {name}"))?;
            obj.add_pad(&gst::GhostPad::from_template_with_target(&template, &target)?)?;
        }
        Ok(Children { detect, enhance })
    }

    /// The children that have the property `name`.
    fn owners(&self, name: &str) -> impl Iterator<Item = &gst::Element> {
        self.children
            .get()
            .into_iter()
            .flat_map(|children| [&children.detect, &children.enhance])
            .filter(move |child| child.find_property(name).is_some())
    }

    fn stats(&self) -> gst::Structure {
        let mut merged = gst::Structure::new_empty("facesr-stats");
        // Both count `frames`; the enhancer comes later, so its count, of frames that left, stays.
        for child in self.owners("stats") {
            for (name, value) in child.property::<gst::Structure>("stats").iter() {
                merged.set_value(name, value.clone());
            }
        }
        merged
    }
}

#[glib::object_subclass]
impl ObjectSubclass for FacesrBin {
    const NAME: &'static str = "GstFacesr";
    type Type = super::FacesrBin;
    type ParentType = gst::Bin;
}

impl ObjectImpl for FacesrBin {
    fn constructed(&self) {
        self.parent_constructed();
        match self.build() {
            Ok(children) => {
                let _ = self.children.set(children);
            }
            // Found out again, and told, when it is to be started.
            Err(error) => gst::error!(CAT, imp = self, "cannot be built: {error}"),
        }
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut list: Vec<_> = detect::settings::properties()
                .into_iter()
                .chain(enhance::settings::properties())
                .filter(|pspec| !SHARED.contains(&pspec.name()))
                .collect();
            let default = enhance::settings::Settings::default();
            list.extend([
                settings::threads(
                    "Threads that detector and generator may use, each",
                    default.threads,
                ),
                settings::live(
                    "Whether to search in the background, and to let frames of a live source \
                     pass untouched, or drop them, rather than queue up",
                    default.live.live,
                ),
                settings::is_live(),
                settings::temporal_smoothing(
                    "How much boxes and detail are steadied over time (0 = not at all)",
                    default.live.temporal_smoothing,
                ),
                glib::ParamSpecBoolean::builder("qos")
                    .nick("QoS")
                    .blurb("Let frames that are late at the sink pass untouched")
                    .default_value(true)
                    .mutable_playing()
                    .build(),
                settings::stats(
                    "What has been done since the start: counts, and CPU time in nanoseconds",
                ),
            ]);
            list
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        for child in self.owners(pspec.name()) {
            child.set_property_from_value(pspec.name(), value);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            return self.stats().to_value();
        }
        self.owners(pspec.name())
            .next()
            .map(|child| child.property_value(pspec.name()))
            .unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for FacesrBin {}

impl ElementImpl for FacesrBin {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Face finder and enhancer",
                "Filter/Effect/Video/Bin",
                "Finds small faces in video and sharpens them",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(video::pad_templates);
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if self.children.get().is_none() && transition == gst::StateChange::NullToReady {
            gst::element_imp_error!(
                self,
                gst::CoreError::MissingPlugin,
                ("The element queue is missing; it is in GStreamer's plugin coreelements")
            );
            return Err(gst::StateChangeError);
        }
        self.parent_change_state(transition)
    }
}

impl BinImpl for FacesrBin {}
