//! What is known of one column, in constant memory, as its cells go by.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

use super::hll::Hll;
use super::kll::Kll;
use super::top::Top;
use super::value::{Value, judge};

/// Up to this many different values are counted exactly.
pub(crate) const DISTINCT_EXACT_MAX: usize = 1_024;
/// Bytes kept of the first and last date.
const DATE_BYTES: usize = 40;

/// What a column holds, by its cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) nulls: u64,
    pub(crate) integers: u64,
    pub(crate) numbers: u64,
    pub(crate) booleans: u64,
    pub(crate) dates: u64,
    pub(crate) texts: u64,
}

pub(crate) struct Column {
    pub(crate) seen: Seen,
    distinct: Distinct,
    pub(crate) top: Top,
    pub(crate) quantiles: Kll,
    pub(crate) integers: (i64, i64),
    pub(crate) numbers: (f64, f64),
    mean: f64,
    /// Sum of the squared distances to the mean (Welford).
    spread: f64,
    dates: Option<[(i64, Vec<u8>); 2]>,
    /// Shortest and longest cell, in characters.
    pub(crate) lengths: (u64, u64),
}

enum Distinct {
    /// Hashes, as long as they are few.
    Few(HashSet<u64, BuildHasherDefault<Same>>),
    Many(Hll),
}

/// What is hashed already needs no hashing.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only 64-bit hashes are kept");
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Column {
    pub(crate) fn new() -> Self {
        Self {
            seen: Seen::default(),
            distinct: Distinct::Few(HashSet::default()),
            top: Top::new(),
            quantiles: Kll::new(),
            integers: (i64::MAX, i64::MIN),
            numbers: (f64::INFINITY, f64::NEG_INFINITY),
            mean: 0.0,
            spread: 0.0,
            dates: None,
            lengths: (u64::MAX, 0),
        }
    }

    /// Takes `count` cells that a short row does not have.
    pub(crate) fn missing(&mut self, count: u64) {
        self.seen.nulls += count;
    }

    /// Takes a cell. `bytes` is its whole length: what is handed over may have been cut.
    pub(crate) fn insert(&mut self, cell: &[u8], bytes: u64) {
        match judge(cell) {
            Value::Null => {
                self.seen.nulls += 1;
                return;
            }
            Value::Integer(whole) => {
                self.seen.integers += 1;
                self.integers = (self.integers.0.min(whole), self.integers.1.max(whole));
                self.number(whole as f64);
            }
            Value::Number(number) => {
                self.seen.numbers += 1;
                self.number(number);
            }
            Value::Boolean => self.seen.booleans += 1,
            Value::Date(key) => {
                self.seen.dates += 1;
                self.date(key, cell);
            }
            Value::Text => self.seen.texts += 1,
        }
        // Characters are the bytes that do not continue one; what was cut is counted in bytes.
        let characters = cell.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64;
        let length = characters + (bytes - cell.len() as u64);
        self.lengths = (self.lengths.0.min(length), self.lengths.1.max(length));
        // Of a cut cell the length tells it from others with the same beginning.
        let mut hash = xxh3_64(cell);
        if bytes > cell.len() as u64 {
            hash ^= bytes.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        self.top.insert(hash, cell);
        self.distinct(hash);
    }

    fn number(&mut self, number: f64) {
        self.numbers = (self.numbers.0.min(number), self.numbers.1.max(number));
        let count = (self.seen.integers + self.seen.numbers) as f64;
        let before = number - self.mean;
        self.mean += before / count;
        self.spread += before * (number - self.mean);
        self.quantiles.insert(number);
    }

    fn date(&mut self, key: i64, cell: &[u8]) {
        let text = || cell.trim_ascii()[..cell.trim_ascii().len().min(DATE_BYTES)].to_vec();
        match &mut self.dates {
            None => self.dates = Some([(key, text()), (key, text())]),
            Some([first, last]) => {
                if key < first.0 {
                    *first = (key, text());
                } else if key > last.0 {
                    *last = (key, text());
                }
            }
        }
    }

    fn distinct(&mut self, hash: u64) {
        match &mut self.distinct {
            Distinct::Many(hll) => hll.insert(hash),
            Distinct::Few(hashes) => {
                hashes.insert(hash);
                if hashes.len() > DISTINCT_EXACT_MAX {
                    let mut hll = Hll::new();
                    hashes.iter().for_each(|hash| hll.insert(*hash));
                    self.distinct = Distinct::Many(hll);
                }
            }
        }
    }

    /// How many different values, and whether that is exact.
    pub(crate) fn different(&self) -> (u64, bool) {
        match &self.distinct {
            Distinct::Few(hashes) => (hashes.len() as u64, true),
            // Never more than there are cells.
            Distinct::Many(hll) => ((hll.estimate().round() as u64).min(self.seen.filled()), false),
        }
    }

    /// Mean and standard deviation of the numbers.
    pub(crate) fn mean(&self) -> Option<(f64, f64)> {
        let count = self.seen.integers + self.seen.numbers;
        (count > 0).then(|| (self.mean, (self.spread / count as f64).max(0.0).sqrt()))
    }

    /// The first and the last date as they stand in the file.
    pub(crate) fn dates(&self) -> Option<[String; 2]> {
        let [first, last] = self.dates.as_ref()?;
        Some([&first.1, &last.1].map(|text| String::from_utf8_lossy(text).into_owned()))
    }
}

impl Seen {
    /// Cells that are not null.
    pub(crate) fn filled(self) -> u64 {
        let Self { nulls: _, integers, numbers, booleans, dates, texts } = self;
        integers + numbers + booleans + dates + texts
    }

    /// The narrowest type that holds every cell.
    pub(crate) fn of_type(self) -> &'static str {
        let filled = self.filled();
        match self {
            _ if filled == 0 => "empty",
            Self { integers, .. } if integers == filled => "integer",
            Self { integers, numbers, .. } if integers + numbers == filled => "number",
            Self { booleans, .. } if booleans == filled => "boolean",
            Self { dates, .. } if dates == filled => "date",
            _ => "text",
        }
    }
}
