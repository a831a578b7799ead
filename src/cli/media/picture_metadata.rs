//! What pictures say beside their pixels: copied as it is, with a word on how it was made.

/// Where XMP begins in a JPEG.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// Where IPTC begins in a JPEG.
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";
/// Largest segment of a JPEG.
const MAX_SEGMENT: usize = 65_533;
/// Largest text that is kept.
const MAX_TEXT: usize = 16 << 20;
/// IPTC's name for pictures of which a part was generated.
const MADE_OF: &str = "<rdf:Description rdf:about=\"\" \
    xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\">\
    <Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/\
    compositeWithTrainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType></rdf:Description>";
const XMP_FRAME: [&str; 2] = [
    "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
     <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
     <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">",
    "</rdf:RDF></x:xmpmeta><?xpacket end=\"w\"?>",
];

/// Texts of a picture, beside EXIF and its color profile.
#[derive(Debug, Clone, Default)]
pub(crate) struct PictureTexts {
    xmp: Option<String>,
    /// Photoshop's segment, which holds IPTC.
    iptc: Option<Vec<u8>>,
    comments: Vec<Vec<u8>>,
    /// Text chunks of a PNG, type and content.
    chunks: Vec<([u8; 4], Vec<u8>)>,
}

impl PictureTexts {
    /// Reads those of a PNG or JPEG file.
    pub(crate) fn read(file: &[u8]) -> Self {
        let mut texts = Self::default();
        if file.starts_with(b"\x89PNG") {
            texts.read_png(file);
        } else {
            texts.read_jpeg(file);
        }
        texts
    }

    fn read_jpeg(&mut self, file: &[u8]) -> Option<()> {
        let mut at = 2;
        loop {
            let marker = *file.get(at + 1)?;
            if *file.get(at)? != 0xff || marker == 0xda {
                return None;
            }
            let length = usize::from(u16::from_be_bytes([*file.get(at + 2)?, *file.get(at + 3)?]));
            let content = file.get(at + 4..at + 2 + length)?;
            match marker {
                0xe1 if content.starts_with(XMP) => {
                    self.xmp = String::from_utf8(content[XMP.len()..].to_vec()).ok();
                }
                0xed if content.starts_with(PHOTOSHOP) => self.iptc = Some(content.to_vec()),
                0xfe => self.comments.push(content.to_vec()),
                _ => {}
            }
            at += 2 + length;
        }
    }

    fn read_png(&mut self, file: &[u8]) -> Option<()> {
        let mut at = 8;
        loop {
            let size = u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize;
            let kind: [u8; 4] = file.get(at + 4..at + 8)?.try_into().ok()?;
            let content = file.get(at + 8..(at + 8).checked_add(size)?)?;
            // Name, no compression, language, translated name, then the text.
            let xmp = content.strip_prefix(b"XML:com.adobe.xmp\0\0\0\0\0".as_slice());
            match (&kind, xmp) {
                (b"iTXt", Some(xmp)) => self.xmp = String::from_utf8(xmp.to_vec()).ok(),
                (b"iTXt" | b"tEXt" | b"zTXt", None) if size < MAX_TEXT => {
                    self.chunks.push((kind, content.to_vec()));
                }
                _ => {}
            }
            at += 12 + size;
        }
    }

    /// Adds that a part of the picture was generated.
    pub(crate) fn mark_generated(&mut self) {
        let end = "</rdf:RDF>";
        let marked = self.xmp.take().and_then(|xmp| {
            let at = xmp.rfind(end)?;
            Some(format!("{}{MADE_OF}{}", &xmp[..at], &xmp[at..]))
        });
        let fits = marked.filter(|xmp| xmp.len() + XMP.len() < MAX_SEGMENT);
        self.xmp = fits.or(Some([XMP_FRAME[0], MADE_OF, XMP_FRAME[1]].concat()));
    }

    /// A JPEG or PNG file with the texts in it.
    pub(crate) fn put_into(&self, file: Vec<u8>) -> Vec<u8> {
        if file.starts_with(b"\x89PNG") {
            self.put_into_png(&file)
        } else {
            self.put_into_jpeg(file)
        }
    }

    fn put_into_jpeg(&self, file: Vec<u8>) -> Vec<u8> {
        // Behind the head that must come first, and EXIF.
        let mut at = 2;
        while let Some([0xff, 0xe0 | 0xe1, high, low]) = file.get(at..at + 4) {
            at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
        }
        if at > file.len() {
            return file;
        }
        let mut new = Vec::new();
        let mut segment = |marker: u8, parts: &[&[u8]]| {
            let content = parts.concat();
            if content.len() <= MAX_SEGMENT {
                new.extend([0xff, marker]);
                new.extend((content.len() as u16 + 2).to_be_bytes());
                new.extend(content);
            }
        };
        if let Some(xmp) = &self.xmp {
            segment(0xe1, &[XMP, xmp.as_bytes()]);
        }
        if let Some(iptc) = &self.iptc {
            segment(0xed, &[iptc]);
        }
        self.comments.iter().for_each(|comment| segment(0xfe, &[comment]));
        [&file[..at], &new, &file[at..]].concat()
    }

    fn put_into_png(&self, file: &[u8]) -> Vec<u8> {
        // Behind the signature and the header, which must come first.
        let at = 8 + 25;
        let mut new = Vec::new();
        let mut chunk = |kind: &[u8; 4], content: &[u8]| {
            new.extend((content.len() as u32).to_be_bytes());
            let begin = new.len();
            new.extend(kind);
            new.extend(content);
            let crc = new[begin..].iter().fold(u32::MAX, |crc, byte| {
                let step = |c: u32, _| c >> 1 ^ (0xedb8_8320 & (c & 1).wrapping_neg());
                (0..8).fold(crc ^ u32::from(*byte), step)
            });
            new.extend((!crc).to_be_bytes());
        };
        if let Some(xmp) = &self.xmp {
            chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", xmp.as_bytes()].concat());
        }
        for comment in &self.comments {
            let text: Vec<u8> = comment.iter().copied().filter(|byte| *byte != 0).collect();
            chunk(b"tEXt", &[b"Comment\0", text.as_slice()].concat());
        }
        self.chunks.iter().for_each(|(kind, content)| chunk(kind, content));
        match file.get(..at) {
            Some(head) => [head, &new, &file[at..]].concat(),
            None => file.to_vec(),
        }
    }
}
