//! The table of all results, in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::Result;
use facesr::internals::cuda::BATCHES;

/// What all parts have handed over.
#[derive(Debug, Default)]
pub(crate) struct Table {
    sentences: BTreeMap<&'static str, Vec<String>>,
    /// Rows in the order they came in.
    rows: Vec<Row>,
    rates: BTreeMap<String, f64>,
}

#[derive(Debug, Default)]
struct Row {
    name: String,
    values: BTreeMap<u64, f64>,
    /// Amounts of work by number of faces, each of the kind that a rate counts.
    work: BTreeMap<u64, Vec<(String, f64)>>,
}

/// Prints the table of those files; a file that is missing has nothing to say.
pub(crate) fn print(files: &[&str]) -> Result<()> {
    let mut table = Table::default();
    for file in files {
        match std::fs::read_to_string(file) {
            Ok(text) => table.read(&text),
            Err(error) => eprintln!("gpu_check: {file}: {error}"),
        }
    }
    print!("{}", table.markdown());
    Ok(())
}

const KINDS: [&str; 4] = ["device", "card", "right", "wrong"];

impl Table {
    /// Takes in what a part wrote. Lines that are none of its results are passed over: a process that
    /// died may have left half a one.
    pub(crate) fn read(&mut self, text: &str) {
        for value in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            for kind in KINDS {
                if let Some(sentence) = value[kind].as_str() {
                    let list = self.sentences.entry(kind).or_default();
                    if !list.iter().any(|known| known == sentence) {
                        list.push(sentence.to_string());
                    }
                }
            }
            if let (Some(name), Some(rate)) = (value["rate"].as_str(), value["value"].as_f64()) {
                self.rates.insert(name.to_string(), rate);
            }
            let (Some(name), Some(faces)) = (value["row"].as_str(), value["faces"].as_u64()) else {
                continue;
            };
            let row = self.row(name);
            if let Some(figure) = value["value"].as_f64() {
                row.values.insert(faces, figure);
            }
            if let (Some(of), Some(amount)) = (value["of"].as_str(), value["work"].as_f64()) {
                row.work.entry(faces).or_default().push((of.to_string(), amount));
            }
        }
    }

    fn row(&mut self, name: &str) -> &mut Row {
        let at = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name: name.to_string(), ..Default::default() });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// The least seconds that a figure's work takes on this card, if its rates are known.
    fn least(&self, work: &[(String, f64)]) -> Option<f64> {
        work.iter().map(|(of, amount)| Some(amount / self.rates.get(of)?)).sum()
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let list = |kind: &str| self.sentences.get(kind).cloned().unwrap_or_default();
        let told = |kind: &str, none: &str| match list(kind) {
            sentences if sentences.is_empty() => none.to_string(),
            sentences => sentences.join("; "),
        };
        let (device, card) =
            (told("device", "No GPU"), told("card", "its rates were not measured"));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{device}: {card}.\n");
        for (kind, word) in [("right", "right"), ("wrong", "**wrong**")] {
            for sentence in list(kind) {
                let _ = writeln!(text, "- {word}: {sentence}");
            }
        }
        let columns: Vec<String> = BATCHES.iter().map(usize::to_string).collect();
        let _ = writeln!(text, "\n| faces | {} |", columns.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(BATCHES.len()));
        for row in &self.rows {
            let cells = BATCHES.map(|faces| {
                let value = row.values.get(&(faces as u64))?;
                let work = row.work.get(&(faces as u64));
                let limit = work.and_then(|work| self.least(work)).map(|seconds| {
                    if row.name.ends_with("frames/s") { 1.0 / seconds } else { seconds * 1e6 }
                });
                Some(match limit {
                    Some(limit) => format!("{} ({})", short(*value), short(limit)),
                    None => short(*value),
                })
            });
            let cells = cells.map(|cell| cell.unwrap_or_default());
            let _ = writeln!(text, "| {} | {} |", row.name, cells.join(" | "));
        }
        let _ = writeln!(
            text,
            "\nIn brackets the card's limit: bytes that must be moved by its copy rate, operations by its \
             rate of matrix products. Frames: 1920x1080 NV12, squares of 40 pixels."
        );
        text
    }
}

/// A number in as many digits as are worth reading.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
