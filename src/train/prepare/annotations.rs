//! Face boxes and identities out of the annotation files of CelebA and WIDER FACE.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use facesr::geometry::Rect;

use crate::error::{Error, Result, at};

/// What annotation files say about pictures.
#[derive(Debug, Clone, Default)]
pub struct Annotations {
    boxes: HashMap<String, Vec<Rect>>,
    identities: HashMap<String, String>,
}

impl Annotations {
    /// `wider_face_*_bbx_gt.txt`: a path, a count, then one face a line (x y w h blur expression
    /// illumination invalid occlusion pose). Invalid and heavily occluded faces are left out.
    ///
    /// # Errors
    /// Names the line that does not fit.
    pub fn wider(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(at(path))?;
        let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
        let mut boxes = HashMap::new();
        let bad = |n: usize, what: &str| {
            Error::Data(format!("{}: line {}: {what}", path.display(), n + 1))
        };
        while let Some((_, name)) = lines.next() {
            let (n, count) =
                lines.next().ok_or_else(|| bad(0, "the file ends after a file name"))?;
            let count: usize =
                count.trim().parse().map_err(|_| bad(n, "expected the number of faces"))?;
            let mut faces = Vec::new();
            // A picture without faces still has one line of zeros.
            for _ in 0..count.max(1) {
                let (n, line) = lines.next().ok_or_else(|| bad(n, "faces are missing"))?;
                let v = numbers(line);
                if v.len() < 10 {
                    return Err(bad(n, "expected ten numbers"));
                }
                if count > 0 && v[7] == 0.0 && v[8] < 2.0 {
                    faces.push(Rect::new(v[0], v[1], v[2], v[3]));
                }
            }
            boxes.insert(name.trim().to_owned(), faces);
        }
        Ok(Self { boxes, identities: HashMap::new() })
    }

    /// `list_bbox_celeba.txt`: a count, a header, then picture x y width height. Those boxes reach
    /// from the hair to below the chin; `identities` is `identity_CelebA.txt` (picture, number).
    ///
    /// # Errors
    /// Names the line that does not fit.
    pub fn celeba(path: &Path, identities: Option<&Path>) -> Result<Self> {
        let mut known = Self::default();
        let text = fs::read_to_string(path).map_err(at(path))?;
        for (n, line) in text.lines().enumerate().skip(2) {
            let Some((name, rest)) = line.trim().split_once(char::is_whitespace) else { continue };
            let v = numbers(rest);
            if v.len() != 4 {
                let what = "expected a picture and four numbers";
                return Err(Error::Data(format!("{}: line {}: {what}", path.display(), n + 1)));
            }
            known.boxes.entry(name.to_owned()).or_default().push(Rect::new(v[0], v[1], v[2], v[3]));
        }
        if let Some(path) = identities {
            for line in fs::read_to_string(path).map_err(at(path))?.lines() {
                if let Some((name, who)) = line.trim().split_once(char::is_whitespace) {
                    known.identities.insert(name.to_owned(), who.trim().to_owned());
                }
            }
        }
        Ok(known)
    }

    /// Boxes of a picture; looked up by path, else by file name.
    pub fn boxes(&self, name: &str) -> &[Rect] {
        lookup(&self.boxes, name).map_or(&[], Vec::as_slice)
    }

    /// Who is on a picture.
    pub fn identity(&self, name: &str) -> Option<&str> {
        lookup(&self.identities, name).map(String::as_str)
    }
}

fn lookup<'a, T>(map: &'a HashMap<String, T>, name: &str) -> Option<&'a T> {
    let mut tail = name;
    loop {
        if let Some(found) = map.get(tail) {
            return Some(found);
        }
        tail = tail.split_once('/')?.1;
    }
}

fn numbers(line: &str) -> Vec<f32> {
    line.split_whitespace().map_while(|w| w.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_and_celeba_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs::write(
            &path,
            "0--Parade/1.jpg\n2\n10 20 30 40 0 0 0 0 0 0\n1 1 5 5 0 0 0 1 0 0\n0--Parade/2.jpg\n0\n\
             0 0 0 0 0 0 0 0 0 0\n",
        )
        .unwrap();
        let wider = Annotations::wider(&path).unwrap();
        let found = wider.boxes("images/0--Parade/1.jpg");
        assert_eq!(found, [Rect::new(10.0, 20.0, 30.0, 40.0)]);
        assert!(wider.boxes("0--Parade/2.jpg").is_empty());
        fs::write(&path, "x.jpg\nmany\n").unwrap();
        assert!(Annotations::wider(&path).unwrap_err().to_string().contains("line 2"));

        let who = dir.path().join("b.txt");
        fs::write(&path, "1\nimage_id x_1 y_1 width height\n000001.jpg 95 71 226 313\n").unwrap();
        fs::write(&who, "000001.jpg 2880\n").unwrap();
        let celeba = Annotations::celeba(&path, Some(&who)).unwrap();
        assert_eq!(celeba.boxes("img/000001.jpg"), [Rect::new(95.0, 71.0, 226.0, 313.0)]);
        assert_eq!(celeba.identity("000001.jpg"), Some("2880"));
        fs::write(&path, "1\nheader\n000001.jpg 95 71 226\n").unwrap();
        assert!(Annotations::celeba(&path, None).is_err());
    }
}
