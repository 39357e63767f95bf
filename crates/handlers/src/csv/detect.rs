//! Which delimiter a file has, by its beginning.

use super::parse::{Parser, Sink};

/// What is tried, the likeliest first.
pub(crate) const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Bytes of the beginning that are looked at.
pub(crate) const SAMPLE_BYTES: usize = 64 * 1024;
/// Rows of the beginning that are looked at.
const SAMPLE_ROWS: usize = 200;

#[derive(Default)]
struct Widths {
    rows: Vec<usize>,
    cells: usize,
}

impl Sink for Widths {
    fn cell(&mut self, _: &[u8], _: u64, last: bool) {
        self.cells += 1;
        if last {
            if self.rows.len() < SAMPLE_ROWS {
                self.rows.push(self.cells);
            }
            self.cells = 0;
        }
    }
}

/// The delimiter that cuts most rows into the same number of cells, more than one; a comma if none
/// does.
pub(crate) fn delimiter(sample: &[u8]) -> u8 {
    let mut best = (0.0, b',');
    for delimiter in DELIMITERS {
        let mut widths = Widths::default();
        let mut parser = Parser::new(delimiter);
        parser.feed(&sample[..sample.len().min(SAMPLE_BYTES)], &mut widths);
        if sample.len() < SAMPLE_BYTES {
            // A longer file's last row may be cut, so that only a short one's counts.
            parser.end(&mut widths);
        }
        let Some(width) = usual(&widths.rows) else { continue };
        if width < 2 {
            continue;
        }
        let alike = widths.rows.iter().filter(|row| **row == width).count();
        // Being alike is worth more than being many: a comma inside of prose cuts unevenly.
        let score = alike as f64 / widths.rows.len() as f64 + (width.min(100) as f64) / 1_000.0;
        if score > best.0 {
            best = (score, delimiter);
        }
    }
    best.1
}

fn usual(widths: &[usize]) -> Option<usize> {
    let mut sorted = widths.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).max_by_key(|same| same.len()).map(|same| same[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_found() {
        for (text, expected) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2,5\n3,5;4,5\n", b';'),
            ("a\tb\n1\t2\n", b'\t'),
            ("a|b|c\n1|2|3", b'|'),
            ("name;text\nx;\"a, b, c\"\ny;\"d, e\"\n", b';'),
            ("name,text\nx,\"a;b;c\nd;e\"\ny,z\n", b','),
            ("text\nHello, world\nNo comma here\nOne, two, three\n", b','),
            ("one\ntwo\n", b','),
            ("", b','),
        ] {
            assert_eq!(delimiter(text.as_bytes()) as char, expected as char, "{text:?}");
        }
    }
}
