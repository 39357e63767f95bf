//! Lines of a program, each of bounded length, whatever it prints.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The line; what is no UTF-8 in it is replaced.
    pub(super) text: String,
    /// Whether it was longer than a line may be, and was cut.
    pub(super) cut: bool,
}

/// Cuts what comes into lines of at most `bytes_max` bytes; the rest of a longer one is dropped.
pub(super) struct Lines<R> {
    from: R,
    bytes_max: usize,
    /// What longer lines begin with, and how long these may be.
    longer: Option<(&'static str, usize)>,
    buffer: Box<[u8]>,
    /// What of the buffer is not looked at yet.
    left: std::ops::Range<usize>,
    line: Vec<u8>,
    cut: bool,
    ended: bool,
    /// All bytes that came.
    pub(super) bytes: u64,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(from: R, bytes_max: usize) -> Self {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Self {
            from,
            bytes_max,
            longer: None,
            buffer,
            left: 0..0,
            line: Vec::new(),
            cut: false,
            ended: false,
            bytes: 0,
        }
    }

    /// With lines of up to `bytes_max` bytes where they begin with `with`, spaces aside.
    pub(super) fn longer(mut self, with: &'static str, bytes_max: usize) -> Self {
        self.longer = Some((with, bytes_max));
        self
    }

    /// How long the line may be that begins with what is there and this part of it.
    fn limit(&self, part: &[u8]) -> usize {
        let Some((with, longer_max)) = self.longer else { return self.bytes_max };
        if self.line.len() + part.len() <= self.bytes_max {
            return self.bytes_max;
        }
        let is_space = |byte: &&u8| byte.is_ascii_whitespace();
        let start = self.line.iter().chain(part).skip_while(is_space).take(with.len());
        // Between the brace and the name there may be spaces, too; who writes them is shorter.
        if start.eq(with.as_bytes()) { longer_max } else { self.bytes_max }
    }

    /// The next line, or nothing at the end. Loses nothing when dropped half-way.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let new = &self.buffer[self.left.clone()];
            let end = new.iter().position(|byte| *byte == b'\n');
            let part = &new[..end.unwrap_or(new.len())];
            let room = self.limit(part).saturating_sub(self.line.len());
            self.cut |= part.len() > room;
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            self.left.start += part.len() + usize::from(end.is_some());
            if end.is_some() || (self.ended && (!self.line.is_empty() || self.cut)) {
                return Ok(Some(self.take()));
            }
            if self.ended {
                return Ok(None);
            }
            // Only here it waits, and everything that was read is in `self`.
            let read = self.from.read(&mut self.buffer).await?;
            self.bytes += read as u64;
            self.left = 0..read;
            self.ended = read == 0;
        }
    }

    fn take(&mut self) -> Line {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        Line {
            text: String::from_utf8_lossy(line).into_owned(),
            cut: std::mem::take(&mut self.cut),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn all(text: &[u8], bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::new(text, bytes_max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        assert_eq!(lines.bytes, text.len() as u64);
        all
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_standard_library_cut(
            text in "([a-zé ]{0,20}\r?\n){0,30}[a-z]{0,5}", bytes_max in 4_usize..30,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let found = runtime.block_on(all(text.as_bytes(), bytes_max));
            let expected: Vec<_> = text.lines().collect();
            prop_assert_eq!(found.len(), expected.len());
            for (line, whole) in found.iter().zip(expected) {
                if !line.cut {
                    prop_assert_eq!(&line.text, whole);
                } else {
                    prop_assert!(whole.len() + 1 > bytes_max);
                    let kept = line.text.trim_end_matches('\u{FFFD}');
                    prop_assert!(whole.starts_with(kept), "{kept:?} of {whole:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn only_lines_of_one_beginning_are_longer() {
        let (long, other) = ("y".repeat(90_000), "z".repeat(90_000));
        let text = format!("  {{\"output\":{long}\n{{\"log\":{other}\n{{\"output\":1\n");
        let mut lines = Lines::new(text.as_bytes(), 100).longer("{\"output\"", 50_000);
        let mut next = async || lines.next().await.unwrap().unwrap();
        let line = next().await;
        assert_eq!((line.text.len(), line.cut), (50_000, true));
        let line = next().await;
        assert_eq!((line.text.len(), line.cut), (100, true));
        assert_eq!(next().await, Line { text: "{\"output\":1".into(), cut: false });
    }

    #[tokio::test]
    async fn an_endless_line_takes_no_more_than_its_limit() {
        let text = [vec![b'x'; 5_000_000], b"\nnext".to_vec()].concat();
        let found = all(&text, 100).await;
        assert_eq!(found[0], Line { text: "x".repeat(100), cut: true });
        assert_eq!(found[1], Line { text: "next".into(), cut: false });
    }
}
