//! Implementation of `facesr`.

use std::sync::{LazyLock, OnceLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::queue::FrameQueue;
use crate::common::live;
use crate::common::properties;
use crate::{facesrdetect, facesrenhance, frame_map};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("facesrbin", gst::DebugColorFlags::empty(), Some("Face enhancer bin"))
});

/// Properties that both children have, and the bin sets on both.
const SHARED: [&str; 6] =
    ["threads", "temporal-smoothing", "qos", "live", "exclude", "source-scale"];

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
        let detect = child(facesrdetect::FacesrDetect::static_type(), "detect")?;
        let enhance = child(facesrenhance::FacesrEnhance::static_type(), "enhance")?;
        let queue = FrameQueue::new()?;
        let bin = obj.downgrade();
        let follow = queue.clone();
        detect.connect_notify(Some("is-live"), move |detect, _| {
            // A source that is not live would run ahead if frames were dropped for it.
            let live = detect.property::<bool>("is-live")
                && detect.static_pad("sink").is_some_and(|pad| live::is_live(&pad));
            follow.set_live(live);
            if let Some(bin) = bin.upgrade() {
                bin.notify("is-live");
            }
        });
        obj.add_many([&detect, queue.element(), &enhance])?;
        gst::Element::link_many([&detect, queue.element(), &enhance])?;
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

/// The properties: those of both children, and what the bin says of those that both have.
fn specs() -> Vec<glib::ParamSpec> {
    let default = facesrenhance::settings::Settings::default();
    let (detect, enhance) = (facesrdetect::settings::table(), facesrenhance::settings::table());
    let mut list: Vec<_> = detect
        .specs()
        .chain(enhance.specs())
        .filter(|pspec| !SHARED.contains(&pspec.name()))
        .collect();
    list.extend([
        properties::threads("Threads that detector and generator may use, each", default.threads)
            .build(),
        properties::live(
            "Whether to search in the background, and to let frames of a live source pass \
             untouched, or drop them, rather than queue up",
            default.live,
        )
        .build(),
        properties::is_live(),
        properties::temporal_smoothing(
            "How much boxes and detail are steadied over time (0 = not at all)",
            default.temporal_smoothing,
        )
        .build(),
        properties::exclude(
            "Leave faces alone whose middle lies there, whoever found them; written as roi is",
        )
        .build(),
        properties::source_scale(
            "How many times an element before this one has enlarged the picture: it is searched as \
             large as the camera gave it, and a face's generator is chosen by its size there",
            default.source_scale,
        )
        .build(),
        glib::ParamSpecBoolean::builder("qos")
            .nick("QoS")
            .blurb("Let frames that are late at the sink pass untouched")
            .default_value(true)
            .mutable_playing()
            .build(),
        properties::stats(),
    ]);
    list
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
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(specs);
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
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(frame_map::pad_templates);
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
