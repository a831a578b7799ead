//! Edit lists of MP4s, carried out here: GStreamer 1.22's demuxer loses sound where a film was cut
//! without encoding, and frames at the end where it was not. Its edit lists are hidden from it,
//! and every stream gets the segment that its list stands for.

use gst::prelude::*;

use super::mp4::{Movie, TrackInfo};

/// What a simple edit list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    /// How long nothing is shown at first, nanoseconds.
    after: u64,
    /// Which part of the track is shown then, nanoseconds; the end is open for the whole rest.
    start: u64,
    stop: Option<u64>,
}

fn nanoseconds(ticks: u64, scale: u32) -> u64 {
    let ns = u128::from(ticks) * 1_000_000_000 / u128::from(scale.max(1));
    u64::try_from(ns).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

/// What `track` shows, if its edit list is simple: nothing, then one part at normal speed.
fn shown(track: &TrackInfo, movie_scale: u32) -> Option<Shown> {
    let Some((last, empty)) = track.edits.split_last() else {
        return Some(Shown { after: 0, start: 0, stop: None });
    };
    if empty.iter().any(|edit| edit.media_time >= 0) || last.media_time < 0 || last.is_odd {
        return None;
    }
    let after = empty.iter().fold(0u64, |sum, edit| sum.saturating_add(edit.duration));
    let start = nanoseconds(last.media_time.unsigned_abs(), track.timescale);
    let length = nanoseconds(last.duration, movie_scale);
    // Ticks of the movie can be coarse; a tick less than the rest is the rest.
    let slack = nanoseconds(1, movie_scale) + nanoseconds(1, track.timescale);
    let rest = nanoseconds(track.duration, track.timescale).saturating_sub(start);
    let is_cut = last.duration > 0 && length.saturating_add(slack) < rest;
    let stop = is_cut.then(|| start.saturating_add(length));
    Some(Shown { after: nanoseconds(after, movie_scale), start, stop })
}

/// Whether all edit lists of a file can be carried out here.
pub(super) fn are_simple(movie: &Movie) -> bool {
    !movie.has_fragments && movie.tracks.iter().all(|track| shown(track, movie.timescale).is_some())
}

/// Hides from whoever reads `movie` through `source` what is carried out here: what it says of its
/// colors, which the demuxer believes more than the stream, and loses half of; and `with_edits`
/// its edit lists.
pub(super) fn hide(source: &gst::Element, movie: &Movie, with_edits: bool) {
    let Some(pad) = source.static_pad("src") else { return };
    let free = |at: u64| (at, b"free".to_vec());
    let colors = movie.tracks.iter().filter_map(|track| track.colors_at);
    let mut changes: Vec<(u64, Vec<u8>)> = colors.map(free).collect();
    let lists = movie.tracks.iter().flat_map(|track| track.edit_lists_at.iter().copied());
    let lists: Vec<_> = lists.filter(|_| with_edits).map(free).collect();
    if changes.is_empty() && lists.is_empty() {
        return;
    }
    if !lists.is_empty() {
        changes.extend(lists);
        changes.push(longest(movie));
    }
    change(&pad, changes);
}

/// What the duration of a film without edit lists is, and where that stands.
fn longest(movie: &Movie) -> (u64, Vec<u8>) {
    // The demuxer reads no track for longer than the film says it is, and that is without what the
    // lists leave out.
    let longest = movie.tracks.iter().map(|track| {
        let ticks = u128::from(track.duration) * u128::from(movie.timescale);
        u64::try_from(ticks / u128::from(track.timescale.max(1)) + 1).unwrap_or(0)
    });
    let longest = longest.max().unwrap_or(0).max(movie.duration);
    match movie.duration_at {
        (at, 8) => (at, longest.to_be_bytes().to_vec()),
        (at, _) => (at, u32::try_from(longest).unwrap_or(u32::MAX - 1).to_be_bytes().to_vec()),
    }
}

/// Puts other bytes into the file that is read through `pad`: where, and which.
fn change(pad: &gst::Pad, changes: Vec<(u64, Vec<u8>)>) {
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::PULL | gst::PadProbeType::PUSH;
    pad.add_probe(what, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let begin = buffer.offset();
        let end = begin.saturating_add(buffer.size() as u64);
        // What is read in two parts is left as it is; the demuxer reads the index at once.
        let here = |(at, new): &&(u64, Vec<u8>)| {
            *at >= begin && at.saturating_add(new.len() as u64) <= end
        };
        if begin == u64::MAX || !changes.iter().any(|change| here(&change)) {
            return gst::PadProbeReturn::Ok;
        }
        if let Ok(mut map) = buffer.make_mut().map_writable() {
            for (at, new) in changes.iter().filter(here) {
                let at = (at - begin) as usize;
                if let Some(bytes) = map.get_mut(at..at + new.len()) {
                    bytes.copy_from_slice(new);
                }
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// Gives the stream of `track`, which leaves the demuxer by `pad`, the segment that its edit list
/// stands for.
pub(super) fn apply(pad: &gst::Pad, track: &TrackInfo, movie_scale: u32) {
    let Some(shown) = shown(track, movie_scale) else { return };
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Segment(old) = event.view()
            && old.segment().format() == gst::Format::Time
        {
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            let time = gst::ClockTime::from_nseconds;
            segment.set_start(time(shown.start));
            segment.set_stop(shown.stop.map(time));
            segment.set_base(time(shown.after));
            segment.set_time(time(shown.after));
            segment.set_position(time(shown.start));
            *event = gst::event::Segment::builder(&segment).seqnum(old.seqnum()).build();
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::super::mp4::Edit;
    use super::*;

    #[test]
    fn simple_lists_become_segments_and_others_do_not() {
        let edit = |duration, media_time| Edit { duration, media_time, is_odd: false };
        let track = |edits: &[Edit]| TrackInfo {
            timescale: 1000,
            duration: 4000,
            edits: edits.to_vec(),
            ..TrackInfo::default()
        };
        let whole = Shown { after: 0, start: 0, stop: None };
        assert_eq!(shown(&track(&[]), 600), Some(whole));
        let cut = track(&[edit(600, -1), edit(1200, 1300)]);
        let part = Shown { after: 1_000_000_000, start: 1_300_000_000, stop: Some(3_300_000_000) };
        assert_eq!(shown(&cut, 600), Some(part));
        let rest = track(&[edit(1620, 1300)]);
        assert_eq!(shown(&rest, 600).map(|s| s.stop), Some(None));
        assert_eq!(shown(&track(&[edit(1, 0), edit(1, 5)]), 600), None);
        assert_eq!(shown(&track(&[Edit { is_odd: true, ..edit(1, 0) }]), 600), None);
        assert!(shown(&track(&[edit(u64::MAX, i64::MAX)]), 0).is_some());
    }
}
