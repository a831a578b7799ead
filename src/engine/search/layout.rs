//! Which searches there are of a frame: the full frame, the full frame enlarged, or tiles.
//!
//! A detector finds faces of some 12 pixels of its input and more. Small frames are enlarged as a
//! whole, and their parts once more; larger ones in tiles. All tiles have one size and fill the same
//! detector input, so that those of a stream share one session.

use super::{RoiFilter, SearchRegion, Window};
use crate::frame::FrameInfo;
use crate::geometry::Rect;

/// Frames with a longer side of at most so many pixels are enlarged as a whole. In 24 clips,
/// enlarging twice took the share of faces of 6 to 10 pixels that are found from 5 to 49 %, of 10
/// to 16 pixels from 52 to 85 %.
const ENLARGED_SIDE: f32 = 768.0;
/// ... by this factor, ...
const ENLARGE: f32 = 2.0;
/// ... or, if they are tiny, to so many pixels, ...
const ENLARGED_TO: f32 = 1280.0;
/// ... by this factor at most.
const MOST_ENLARGED: f32 = 3.0;
/// Parts of small frames are enlarged by this: of faces of 12 pixels in films that were made for it, a
/// search of each frame found 41 % at twice their size and 86 % at four times.
const CLOSER: f32 = 4.0;
/// Enlarged searches take turns at that scale and at this share of it: what both show is a face,
/// and not a pattern that looks like one at one scale.
const SECOND_SCALE: f32 = 0.8;
/// An enlarged search that shows less than so much more is none.
const WORTHWHILE: f32 = 1.2;
/// Frames that the detector sees at a smaller scale than this are searched in tiles at full
/// resolution too. In a crowd of 190 faces in 1280x720, which is seen at 0.75, such tiles found one
/// face in a hundred more for a third more work.
const FULL_RESOLUTION_BELOW: f32 = 0.67;
/// Faces of so many detector pixels are found reliably: the next larger scale need not find them.
const RELIABLE_SIDE: f32 = 24.0;
/// Detector input that a tile fills, pixels: the longer side along the longer side of the window.
/// A search of one costs about half of what a search of a reduced frame does.
const INPUT: [f32; 2] = [704.0, 416.0];
/// A face whose pixels are lost is expected in a square of so many of its sides, ...
const AROUND: f32 = 5.0;
/// ... of which the detector sees so many pixels along a side: the face has 32 of them.
const AROUND_INPUT: u32 = 160;

/// The searches of a frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SearchLayout {
    /// All that is of interest in the frame, as the detector sees it of itself.
    pub(crate) full: SearchRegion,
    /// The same, enlarged, at two scales that take turns; empty if tiles alone are enlarged.
    pub(crate) enlarged: Vec<SearchRegion>,
    /// Parts of it: all at full resolution, then all enlarged.
    pub(crate) tiles: Vec<Tile>,
}

/// A part of a frame at one or two scales that take turns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tile {
    pub(crate) region: SearchRegion,
    /// A part around it, for the same detector input.
    pub(crate) second: Option<SearchRegion>,
}

impl SearchLayout {
    /// The searches of the part of a frame of `info` that `roi` asks for. `full_scale` says at which
    /// scale the detector sees a frame of a width and height, shown with square pixels. The frame was
    /// enlarged `source_scale` times, 1 or more, before: it is searched as large as it was.
    pub(crate) fn new(
        info: &FrameInfo,
        roi: &RoiFilter,
        source_scale: f32,
        full_scale: impl Fn(f32, f32) -> f32,
    ) -> Self {
        let frame = (info.width, info.height);
        let window = roi.window(frame.0, frame.1).unwrap_or(Window::full(frame));
        let aspect = info.pixel_aspect_ratio();
        let camera = |length: f32| length / source_scale;
        let (width, height) = (camera(window.width as f32 * aspect), camera(window.height as f32));
        // In detector pixels per pixel of the camera, as are all scales until they are put in.
        let scale = full_scale(width, height);
        let at = |scale: f32| SearchRegion {
            window,
            frame,
            scale: scale / source_scale,
            aspect,
            is_tile: false,
            is_enlarged: false,
        };
        let full = at(scale);
        let long = width.max(height);
        let (mut enlarged, mut tiles) = (Vec::new(), Vec::new());
        if long <= ENLARGED_SIDE {
            let larger = (ENLARGED_TO / long).clamp(ENLARGE, MOST_ENLARGED);
            let region = |scale: f32| SearchRegion { is_enlarged: true, ..at(scale) };
            if larger > WORTHWHILE * scale {
                enlarged.extend([larger, SECOND_SCALE * larger].map(region));
            }
            let tile = SearchRegion { is_tile: true, ..region(CLOSER) };
            let all = layout_tiles(&tile, (RELIABLE_SIDE / larger * source_scale) as u32);
            let wanted = all.into_iter().filter(|tile| roi.meets(&tile.window));
            tiles.extend(wanted.map(|region| {
                let second = Some(farther(&region, &window));
                Tile { region, second }
            }));
        } else {
            let mut below = scale;
            for (scale, is_enlarged) in [(1.0, false), (ENLARGE, true)] {
                if is_enlarged || below < FULL_RESOLUTION_BELOW {
                    let tile = SearchRegion { is_tile: true, is_enlarged, ..at(scale) };
                    let all = layout_tiles(&tile, (RELIABLE_SIDE / below * source_scale) as u32);
                    let wanted = all.into_iter().filter(|tile| roi.meets(&tile.window));
                    let second =
                        |region: &SearchRegion| is_enlarged.then(|| farther(region, &window));
                    tiles.extend(wanted.map(|region| Tile { region, second: second(&region) }));
                    below = scale;
                }
            }
        }
        Self { full, enlarged, tiles }
    }
}

/// A larger part of `limits` around a tile, for the same detector input.
fn farther(tile: &SearchRegion, limits: &Window) -> SearchRegion {
    let grow = |(start, length): (u32, u32), (from, most): (u32, u32)| {
        let longer = even((length as f32 / SECOND_SCALE) as u32).min(most);
        let center = start as f32 + length as f32 / 2.0;
        (place(center, longer, (from, most)), longer)
    };
    let w = &tile.window;
    let (x, width) = grow((w.x, w.width), (limits.x, limits.width));
    let (y, height) = grow((w.y, w.height), (limits.y, limits.height));
    let window = Window { x, y, width, height };
    SearchRegion { window, scale: SECOND_SCALE * tile.scale, ..*tile }
}

/// The square of `full` in which a face is expected that was last seen at `rect`, for a detector input
/// of its own; `None` if it is larger than `full`.
pub(crate) fn region_around(full: &SearchRegion, rect: &Rect) -> Option<SearchRegion> {
    let side = AROUND * (rect.w * full.aspect).max(rect.h);
    let axis = |center: f32, length: f32, limits: (u32, u32)| {
        let length = even(length as u32);
        (length <= limits.1).then(|| (place(center, length, limits), length))
    };
    let (center, w) = (rect.center(), &full.window);
    let (x, width) = axis(center.x, side / full.aspect, (w.x, w.width))?;
    let (y, height) = axis(center.y, side, (w.y, w.height))?;
    let window = Window { x, y, width, height };
    let scale = AROUND_INPUT as f32 / height as f32;
    Some(SearchRegion { window, scale, is_tile: true, is_enlarged: scale > full.scale, ..*full })
}

/// Where a piece of `length` pixels about `center` begins that lies within limits (start and a length
/// that is no less); even, for chroma that is halved.
fn place(center: f32, length: u32, (from, most): (u32, u32)) -> u32 {
    let start = (center - length as f32 / 2.0).max(0.0) as u32;
    start.clamp(from, from + most - length) & !1
}

/// The even number below, at least 2.
fn even(length: u32) -> u32 {
    (length & !1).max(2)
}

/// Tiles that cover the window of `whole` at its scale, row by row. Faces of up to `overlap` pixels
/// lie wholly in at least one of them.
fn layout_tiles(whole: &SearchRegion, overlap: u32) -> Vec<SearchRegion> {
    let window = whole.window;
    let wide = window.width as f32 * whole.aspect >= window.height as f32;
    let (across, down) = if wide { (INPUT[0], INPUT[1]) } else { (INPUT[1], INPUT[0]) };
    let side = |input: f32, scale: f32| even((input / scale) as u32);
    let (width, height) = (side(across, whole.scale * whole.aspect), side(down, whole.scale));
    let columns = split_axis(window.x, window.width, width, (overlap as f32 / whole.aspect) as u32);
    let rows = split_axis(window.y, window.height, height, overlap);
    let row = |(y, height): (u32, u32)| {
        let place = move |(x, width)| {
            let window = Window { x, y, width, height };
            SearchRegion { window, ..*whole }
        };
        columns.iter().copied().map(place)
    };
    rows.into_iter().flat_map(row).collect()
}

/// Start and length of pieces of `piece` pixels that cover `length` pixels from `start` and
/// overlap by at least `overlap`. A shorter length is one piece.
fn split_axis(start: u32, length: u32, piece: u32, overlap: u32) -> Vec<(u32, u32)> {
    if length <= piece {
        return vec![(start, length)];
    }
    // Some more than asked for: starts are rounded to even, and edges count as cut off.
    let overlap = (overlap + 6).min(piece / 2);
    let count = (length - overlap).div_ceil(piece - overlap).max(2);
    let place = |i: u32| {
        let at = u64::from(length - piece) * u64::from(i) / u64::from(count - 1);
        ((start + at as u32) & !1, piece)
    };
    (0..count).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use proptest::prelude::*;

    fn info(width: u32, height: u32) -> FrameInfo {
        FrameInfo::new(PixelFormat::I420, width, height)
    }

    /// As CenterFace sees frames.
    fn full_scale(width: f32, height: f32) -> f32 {
        let long = width.max(height);
        if long < 640.0 { 2f32.min(640.0 / long) } else { 1f32.min(960.0 / long) }
    }

    fn layout(info: &FrameInfo) -> SearchLayout {
        SearchLayout::new(info, &RoiFilter::default(), 1.0, full_scale)
    }

    fn counts(width: u32, height: u32) -> (Option<f32>, usize, usize) {
        let layout = layout(&info(width, height));
        let plain = layout.tiles.iter().filter(|tile| !tile.region.is_enlarged).count();
        (layout.enlarged.first().map(|r| r.scale), plain, layout.tiles.len() - plain)
    }

    #[test]
    fn face_that_fills_the_frame_leaves_no_place_around_it() {
        let roi = RoiFilter::default();
        let full = SearchLayout::new(&info(1280, 720), &roi, 1.0, full_scale).full;
        let around = |side| region_around(&full, &Rect::new(100.0, 100.0, side, side));
        assert_eq!(around(200.0), None);
        let region = around(20.0).unwrap();
        assert_eq!((region.window.width, region.window.height), (100, 100));
        assert_eq!((region.window.x, region.window.y), (60, 60));
    }

    #[test]
    fn small_frames_are_enlarged_and_large_ones_tiled() {
        for ((width, height), scale) in [((640, 360), 2.0), ((768, 432), 2.0), ((320, 240), 3.0)] {
            let (enlarged, plain, tiles) = counts(width, height);
            assert_eq!((enlarged, plain), (Some(scale), 0));
            assert!((4..=36).contains(&tiles), "{width}x{height}: {tiles} tiles");
            let layout = layout(&info(width, height));
            assert!(layout.tiles.iter().all(|tile| tile.region.scale == CLOSER));
        }
        assert_eq!(counts(1280, 720), (None, 0, 20));
        let (enlarged, plain, tiles) = counts(1920, 1080);
        assert!(enlarged.is_none() && plain == 9 && (36..=48).contains(&tiles), "{plain} {tiles}");
        assert_eq!(counts(1080, 1920).1, 9);
    }

    #[test]
    fn pixels_that_are_not_square_are_searched_as_they_are_shown() {
        let mut cif = info(704, 288);
        cif.pixel_aspect = (1, 2);
        let shown = layout(&info(352, 288));
        let squeezed = layout(&cif);
        assert_eq!(squeezed.full.scale, shown.full.scale);
        assert_eq!(squeezed.enlarged[0].scale, shown.enlarged[0].scale);
        let mut half = info(960, 1080);
        half.pixel_aspect = (2, 1);
        let (half, full) = (layout(&half), layout(&info(1920, 1080)));
        assert_eq!((half.full.scale, half.tiles.len()), (0.5, full.tiles.len()));
    }

    #[test]
    fn frames_that_were_enlarged_are_searched_as_the_camera_gave_them() {
        for (width, height, times) in [(640, 360, 4), (1280, 720, 2)] {
            let camera = layout(&info(width, height));
            let enlarged = info(width * times, height * times);
            let factor = times as f32;
            let roi = RoiFilter::default();
            let enlarged = SearchLayout::new(&enlarged, &roi, factor, full_scale);
            assert_eq!(enlarged.full.scale * factor, camera.full.scale);
            let scales = |layout: &SearchLayout, factor: f32| -> Vec<f32> {
                let tiles = layout.tiles.iter().map(|tile| tile.region);
                let all = layout.enlarged.iter().copied().chain(tiles);
                let mut scales: Vec<_> = all.map(|region| region.scale * factor).collect();
                // Their number may differ: the rounding of their edges counts for less.
                scales.dedup();
                scales
            };
            assert_eq!(scales(&enlarged, factor), scales(&camera, 1.0));
            assert_eq!(enlarged.full.input_pixels(), camera.full.input_pixels());
        }
    }

    #[test]
    fn tiles_that_the_filter_leaves_out_are_none() {
        let roi = RoiFilter {
            include: "0,0,100,100;1800,900,100,100".parse().unwrap(),
            exclude: Default::default(),
        };
        let layout = SearchLayout::new(&info(1920, 1080), &roi, 1.0, full_scale);
        assert!((2..8).contains(&layout.tiles.len()), "{}", layout.tiles.len());
        let roi = RoiFilter { exclude: "0,0,1920,800".parse().unwrap(), ..Default::default() };
        let below = SearchLayout::new(&info(1920, 1080), &roi, 1.0, full_scale);
        let bottom = |tile: &Tile| tile.region.window.y + tile.region.window.height;
        assert!(below.tiles.iter().all(|tile| bottom(tile) > 800));
    }

    #[test]
    fn second_view_of_a_tile_surrounds_it_and_fits_the_same_input() {
        let layout = layout(&info(1920, 1080));
        for tile in layout.tiles.iter().filter(|tile| tile.region.is_enlarged) {
            let (a, b) = (&tile.region, tile.second.as_ref().unwrap());
            assert!(b.scale < a.scale && b.window.x % 2 == 0 && b.window.y % 2 == 0);
            assert_eq!(a.input_pixels(), b.input_pixels());
            let (a, b) = (a.window, b.window);
            assert!(b.x <= a.x && b.y <= a.y && b.x + b.width <= 1920 && b.y + b.height <= 1080);
            assert!(b.x + b.width >= a.x + a.width && b.y + b.height >= a.y + a.height);
        }
    }

    proptest! {
        /// Wherever a small face is, one of the tiles contains it, and all tiles have one size.
        #[test]
        fn each_small_face_lies_in_a_tile(
            (width, height) in (64u32..5000, 64u32..5000),
            (start, margin) in ((0u32..50, 0u32..50), 0u32..2),
            (u, v, side) in (0f32..1.0, 0f32..1.0, 4f32..40.0),
            scale in 0usize..3,
        ) {
            let scale = [0.75, 1.0, 2.0][scale];
            let window = Window { x: start.0 * 2, y: start.1 * 2, width, height };
            let frame = (window.x + width + margin, window.y + height + margin);
            let whole = SearchRegion {
                window, frame, scale, aspect: 1.0, is_tile: true, is_enlarged: false,
            };
            let tiles = layout_tiles(&whole, 48);
            let size = (tiles[0].window.width, tiles[0].window.height);
            for SearchRegion { window: t, .. } in &tiles {
                prop_assert!(t.x % 2 == 0 && t.y % 2 == 0);
                prop_assert!(t.x >= window.x && t.x + t.width <= window.x + width);
                prop_assert!(t.y >= window.y && t.y + t.height <= window.y + height);
                prop_assert_eq!((t.width, t.height), size);
            }
            let inside = |u: f32, start: u32, length: u32| {
                start as f32 + 4.0 + u * (length as f32 - 8.0 - side)
            };
            let face =
                Rect::new(inside(u, window.x, width), inside(v, window.y, height), side, side);
            prop_assert!(tiles.iter().any(|tile| tile.contains(&face)), "{face:?}");
        }
    }
}
