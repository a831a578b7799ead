//! Where a film was recorded: as MP4 and QuickTime tell it, and as ISO 6709 text.

/// The place that a box of `udta` tells, as ISO 6709 has it.
pub(crate) fn place(kind: &[u8; 4], content: &[u8]) -> Option<String> {
    match kind {
        b"\xa9xyz" => {
            // Length and language come first.
            let text = String::from_utf8_lossy(content.get(4..)?);
            Some(text.trim_end_matches('\0').to_string()).filter(|text| !text.is_empty())
        }
        b"loci" => {
            // Version and language, a name that ends with 0, its role, then numbers with 16 bits
            // behind the point.
            let name = content.get(6..)?;
            let name_end = 6 + name.iter().position(|b| *b == 0)?;
            let fixed = |number: usize| {
                let at = name_end + 2 + 4 * number;
                let bytes: [u8; 4] = content.get(at..at + 4)?.try_into().ok()?;
                Some(f64::from(i32::from_be_bytes(bytes)) / 65536.0)
            };
            let (longitude, latitude, altitude) = (fixed(0)?, fixed(1)?, fixed(2)?);
            if longitude.abs() > 180.0 || latitude.abs() > 90.0 {
                return None;
            }
            let height = if altitude == 0.0 { String::new() } else { format!("{altitude:+.3}") };
            Some(format!("{latitude:+08.4}{longitude:+09.4}{height}/"))
        }
        _ => None,
    }
}

/// The box for `udta` that tells a place.
pub(crate) fn place_box(place: &str) -> ([u8; 4], Vec<u8>) {
    let mut end = place.len().min(256);
    while !place.is_char_boundary(end) {
        end -= 1;
    }
    let place = &place[..end];
    let mut content = (place.len() as u16).to_be_bytes().to_vec();
    // "und" for the language.
    content.extend([0x55, 0xc4]);
    content.extend(place.as_bytes());
    (*b"\xa9xyz", content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_both_forms() {
        let (kind, content) = place_box("+52.5200+013.4050/");
        assert_eq!(place(&kind, &content).as_deref(), Some("+52.5200+013.4050/"));
        let fixed = |n: f64| ((n * 65536.0).round() as i32).to_be_bytes();
        let loci = |longitude: f64, latitude: f64| {
            let numbers = [fixed(longitude), fixed(latitude), fixed(0.0)].concat();
            [&[0, 0, 0, 0, 0x55, 0xc4, b'x', 0, 0][..], &numbers].concat()
        };
        let told = place(b"loci", &loci(13.405, 52.52));
        assert_eq!(told.as_deref(), Some("+52.5200+013.4050/"));
        assert_eq!(place(b"loci", &loci(-0.5, -3.25)).as_deref(), Some("-03.2500-000.5000/"));
        assert!(place(b"loci", &loci(900.0, 0.0)).is_none());
        for end in 0..20 {
            assert!(place(b"loci", &loci(1.0, 1.0)[..end]).is_none());
        }
    }
}
