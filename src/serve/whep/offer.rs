//! What a viewer offers, as far as this server wants to know, before anything of it reaches the element.

use super::WhepError;

/// Descriptions in an offer at most: pictures, and the sound that most players ask for too.
const MOST_MEDIA: usize = 2;

/// An offer as it may be handed on: its addresses are left out. The viewer is answered where it comes from, so that
/// nobody can have this machine send to a third, nor look up names.
///
/// # Errors
/// It is no offer to take H.264, or one that the element would not answer.
pub(super) fn check(offer: &[u8]) -> Result<String, WhepError> {
    let text = std::str::from_utf8(offer).map_err(|_| WhepError::Offer("it is no text"))?;
    let mut lines = text.lines().filter(|line| !line.is_empty());
    if lines.next() != Some("v=0") {
        return Err(WhepError::Offer("it does not begin with v=0"));
    }
    if !lines.clone().all(is_line) {
        return Err(WhepError::Offer("a line is none of SDP"));
    }
    let media: Vec<_> =
        lines.clone().filter_map(|line| line.strip_prefix("m=")?.split(' ').next()).collect();
    if media.iter().filter(|kind| **kind == "video").count() != 1
        || media.len() > MOST_MEDIA
        || !media.iter().all(|kind| ["audio", "video"].contains(kind))
    {
        return Err(WhepError::Offer("it must ask for one video, and may ask for one audio"));
    }
    // One way for both: with several the element may fail.
    let bundled = lines
        .clone()
        .find_map(|line| line.strip_prefix("a=group:BUNDLE "))
        .map_or(0, |ids| ids.split_whitespace().count());
    if media.len() > 1 && bundled != media.len() {
        return Err(WhepError::Offer("video and audio must be bundled (a=group:BUNDLE)"));
    }
    for (needed, reason) in [
        ("a=ice-ufrag:", "a=ice-ufrag is missing"),
        ("a=ice-pwd:", "a=ice-pwd is missing"),
        ("a=fingerprint:", "a=fingerprint is missing"),
    ] {
        if !lines.clone().any(|line| line.starts_with(needed)) {
            return Err(WhepError::Offer(reason));
        }
    }
    let video = Video::find(lines.clone())?;
    let mut kept = String::from("v=0\r\n");
    let mut is_video = false;
    for line in lines {
        if line.starts_with("m=") {
            is_video = line.starts_with("m=video ");
        }
        let line = if is_video { video.keep(line) } else { Some(line.to_string()) };
        if let Some(line) = line.filter(|line| !is_address(line)) {
            kept += &line;
            kept += "\r\n";
        }
    }
    Ok(kept)
}

/// A line that names an address of the viewer, or that there are no more.
fn is_address(line: &str) -> bool {
    line.starts_with("a=candidate:") || line.starts_with("a=end-of-candidates")
}

/// The number and the rest of an attribute such as `a=rtpmap:102 H264/90000`.
fn numbered<'a>(line: &'a str, attribute: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix("a=")?.strip_prefix(attribute)?.strip_prefix(':')?.split_once(' ')
}

/// The way of taking H.264 that is answered, by its number, and that of packets that are sent again. One of many, for
/// the element tries them in turn, and waits for a key frame each time.
struct Video {
    number: String,
    again: Option<String>,
}

impl Video {
    fn find<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> Result<Self, WhepError> {
        let names = |codec: &'static str| {
            lines.clone().filter_map(move |line| {
                let (number, name) = numbered(line, "rtpmap")?;
                name.split('/').next()?.eq_ignore_ascii_case(codec).then_some(number)
            })
        };
        let parameters = |number: &str| {
            let mut all = lines.clone().filter_map(|line| numbered(line, "fmtp"));
            all.find(|(it, _)| *it == number).map_or("", |(_, parameters)| parameters)
        };
        // What all browsers have, which is also what an answer without a profile stands for, before others.
        let rank = |number: &&str| {
            let known = parameters(number).split(';').find_map(|one| {
                one.trim().strip_prefix("profile-level-id=").map(str::to_ascii_lowercase)
            });
            match known.as_deref() {
                Some(profile) if profile.starts_with("42e0") => 0,
                None => 1,
                Some(profile) if profile.starts_with("42") => 2,
                Some(_) => 3,
            }
        };
        let number = names("H264")
            .filter(|it| parameters(it).split(';').any(|one| one.trim() == "packetization-mode=1"))
            .min_by_key(rank)
            .ok_or(WhepError::Offer("it does not take H.264 in packetization-mode 1"))?;
        let apt = format!("apt={number}");
        let again = names("rtx").find(|it| parameters(it).split(';').any(|one| one.trim() == apt));
        Ok(Self { number: number.to_string(), again: again.map(str::to_string) })
    }

    fn has(&self, number: &str) -> bool {
        number == "*" || number == self.number || Some(number) == self.again.as_deref()
    }

    /// A line of the video's description, as far as it is about this way.
    fn keep(&self, line: &str) -> Option<String> {
        if line.starts_with("m=") {
            let words: Vec<_> = line.split(' ').take(3).collect();
            let again = self.again.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
            return Some(format!("{} {}{again}", words.join(" "), self.number));
        }
        let mut attributes = ["rtpmap", "fmtp", "rtcp-fb"].into_iter();
        let Some((number, rest)) = attributes.find_map(|it| numbered(line, it)) else {
            return Some(line.to_string());
        };
        if !self.has(number) {
            return None;
        }
        if numbered(line, "fmtp").is_none() || number != self.number {
            return Some(line.to_string());
        }
        // The profile is the encoder's: the element would find that no other fits.
        let others = rest.split(';').filter(|one| !one.trim().starts_with("profile-level-id="));
        Some(format!("a=fmtp:{number} {}", others.collect::<Vec<_>>().join(";")))
    }
}

/// A letter, `=` and visible characters.
fn is_line(line: &str) -> bool {
    let mut characters = line.chars();
    characters.next().is_some_and(|c| c.is_ascii_lowercase())
        && characters.next() == Some('=')
        && characters.all(|c| !c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 102 103 108 109\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
        a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2113937151 192.0.2.1 9 typ host\r\na=recvonly\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtpmap:102 H264/90000\r\n\
        a=fmtp:102 packetization-mode=1;profile-level-id=42001f\r\na=rtpmap:103 rtx/90000\r\n\
        a=fmtp:103 apt=102\r\na=rtpmap:108 H264/90000\r\na=rtcp-fb:108 nack pli\r\n\
        a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        a=rtpmap:109 rtx/90000\r\na=fmtp:109 apt=108\r\n";

    #[test]
    fn offer_is_handed_on_without_its_addresses() {
        let kept = check(OFFER.as_bytes()).unwrap();
        assert!(!kept.contains("192.0.2.1"));
        // Of the ways to take H.264 one is left, without its profile.
        assert!(kept.contains("m=video 9 UDP/TLS/RTP/SAVPF 108 109\r\n"), "{kept}");
        assert!(kept.ends_with(
            "a=recvonly\r\na=rtpmap:108 H264/90000\r\na=rtcp-fb:108 nack pli\r\n\
             a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1\r\n\
             a=rtpmap:109 rtx/90000\r\na=fmtp:109 apt=108\r\n"
        ));
        let other = OFFER.replace("42e01f", "640c1f");
        assert!(check(other.as_bytes()).unwrap().contains("SAVPF 102 103\r\n"));
        // Lines may end as they do on Unix.
        assert_eq!(check(OFFER.replace('\r', "").as_bytes()).unwrap(), kept);
    }

    #[test]
    fn what_is_no_offer_of_pictures_is_refused() {
        let more = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";
        assert!(check((OFFER.to_string() + more).as_bytes()).is_err());
        let both = OFFER.replace("BUNDLE 0", "BUNDLE 0 1") + more;
        assert!(check(both.as_bytes()).is_ok());
        for wrong in [
            String::new(),
            "nope".into(),
            OFFER.replace("v=0", "v=1"),
            OFFER.replace("m=video", "m=audio"),
            OFFER.replace("m=video", "m=application"),
            OFFER.replace("H264", "VP9"),
            OFFER.replace("packetization-mode=1", "packetization-mode=0"),
            OFFER.replace("a=ice-ufrag", "a=ice"),
            OFFER.replace("a=ice-pwd", "a=ice"),
            OFFER.replace("a=fingerprint", "a=finger"),
            OFFER.replace("a=recvonly", "a=\u{1}"),
            OFFER.to_string() + "nothing\r\n",
            both.clone() + more,
        ] {
            assert!(matches!(check(wrong.as_bytes()), Err(WhepError::Offer(_))), "{wrong}");
        }
        assert!(check(b"v=0\r\n\xff\xfe").is_err());
    }
}
