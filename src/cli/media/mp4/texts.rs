//! Texts that an MP4 or a QuickTime film says of itself, by the names that Matroska has for them.

use super::boxes::{be32, boxes, find};

/// Texts longer than this are no titles or comments, bytes.
const MAX_TEXT: usize = 1 << 16;

/// The name of a text by the type of its item.
fn name(kind: &[u8; 4]) -> Option<&'static str> {
    Some(match kind {
        b"\xa9nam" => "TITLE",
        b"\xa9cmt" => "COMMENT",
        b"\xa9ART" => "ARTIST",
        b"\xa9alb" => "ALBUM",
        b"\xa9gen" => "GENRE",
        b"\xa9day" => "DATE_RELEASED",
        b"desc" | b"\xa9des" => "DESCRIPTION",
        b"cprt" | b"\xa9cpy" => "COPYRIGHT",
        b"\xa9mak" => "MAKE",
        b"\xa9mod" => "MODEL",
        _ => return None,
    })
}

/// The name of a text by QuickTime's key for it.
fn name_of_key(key: &str) -> String {
    match key.rsplit_once('.').map_or(key, |(_, last)| last) {
        "ISO6709" => "LOCATION".into(),
        "creationdate" => "DATE_RECORDED".into(),
        last => last.to_ascii_uppercase(),
    }
}

/// A text box of `udta`: name and text.
pub(super) fn text_box(kind: &[u8; 4], content: &[u8]) -> Option<(String, String)> {
    // Length and language come first.
    let text = content.get(4..).filter(|text| text.len() < MAX_TEXT)?;
    (kind[0] == 0xa9).then(|| text_of(text)).zip(name(kind)).map(|(text, name)| (name.into(), text))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string()
}

/// The boxes of `meta`: QuickTime has them at once, MP4 behind a version.
fn begin(meta: &[u8]) -> usize {
    if meta.get(4..8) == Some(b"hdlr") { 0 } else { 4 }
}

/// Whether the items of `meta` are named by keys, as those of phones are.
pub(super) fn has_keys(meta: &[u8]) -> bool {
    find(meta, begin(meta)..meta.len(), &[b"keys"]).is_some()
}

/// The texts of `meta`: name and text.
pub(super) fn texts(meta: &[u8]) -> Vec<(String, String)> {
    let all = begin(meta)..meta.len();
    let mut keys = Vec::new();
    if let Some(list) = find(meta, all.clone(), &[b"keys"]) {
        // Version and count come first; the type of each is a name space.
        for (_, key) in boxes(meta, list.start.saturating_add(8)..list.end) {
            keys.push(name_of_key(&text_of(&meta[key])));
        }
    }
    let Some(items) = find(meta, all, &[b"ilst"]) else { return Vec::new() };
    let mut found = Vec::new();
    for (kind, item) in boxes(meta, items) {
        let number = (u32::from_be_bytes(kind) as usize).checked_sub(1);
        let keyed = number.and_then(|number| keys.get(number)).cloned();
        let Some(name) = keyed.or_else(|| name(&kind).map(String::from)) else { continue };
        let Some(data) = find(meta, item, &[b"data"]).map(|data| &meta[data]) else { continue };
        // Type 1 is UTF-8.
        if be32(data, 0) == 1 && data.len() < MAX_TEXT {
            found.extend(data.get(8..).map(|text| (name, text_of(text))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::boxes::boxed;
    use super::*;

    #[test]
    fn texts_are_read_as_phones_and_as_itunes_write_them() {
        let item = |kind: &[u8; 4], text: &[u8]| {
            boxed(kind, &boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], text].concat()))
        };
        let handler = boxed(b"hdlr", &[0; 24]);
        let itunes = boxed(b"ilst", &[item(b"\xa9nam", b"T"), item(b"xxxx", b"-")].concat());
        let itunes = [&[0; 4][..], &handler, &itunes].concat();
        assert_eq!(texts(&itunes), [("TITLE".to_string(), "T".to_string())]);
        assert!(!has_keys(&itunes));
        let keys = boxed(b"mdta", b"com.apple.quicktime.location.ISO6709");
        let keys = boxed(b"keys", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &keys].concat());
        let items = boxed(b"ilst", &item(&[0, 0, 0, 1], b"+52+013/"));
        let phone = [handler, keys, items].concat();
        assert!(has_keys(&phone));
        assert_eq!(texts(&phone), [("LOCATION".to_string(), "+52+013/".to_string())]);
        let classic = text_box(b"\xa9cmt", b"\0\x02\x55\xc4hi");
        assert_eq!(classic, Some(("COMMENT".into(), "hi".into())));
    }
}
