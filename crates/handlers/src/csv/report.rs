//! What is said of a table, in the words and shapes the pages show.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::column::{Column, Seen};
use super::kll::Sorted;
use super::profile::Table;
use crate::file::FileOut;

/// Most frequent values named per column.
const TOP_MAX: usize = 10;
/// The same in a wide table.
const TOP_FEW: usize = 3;
/// Bars of a distribution.
const BINS: usize = 20;
/// With fewer different numbers than this, the frequent values say more than a distribution.
const BINS_DISTINCT_MIN: u64 = 13;

/// What is in a table.
#[derive(Debug, Clone, Serialize)]
pub struct TableReport {
    /// Rows, without the header.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// What stands between two cells.
    pub delimiter: char,
    /// Whether the first row was taken for names.
    pub header: bool,
    /// Columns in the widest row.
    pub columns_total: usize,
    /// What is in each, in their order.
    pub columns: Vec<ColumnReport>,
    /// What a reader of the numbers should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// All of this, where it is too large for an output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<FileOut>,
}

/// What is in a column.
#[derive(Debug, Clone, Serialize)]
pub struct ColumnReport {
    /// Its name; no two columns have the same.
    pub name: String,
    /// `integer`, `number`, `boolean`, `date`, `text` or `empty`: the narrowest that holds all cells.
    #[serde(rename = "type")]
    pub of_type: &'static str,
    /// Cells that are empty or say null.
    pub nulls: u64,
    /// Different values; exact up to 1024, then within 2 %.
    pub distinct: u64,
    /// Whether `distinct` is an estimate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub distinct_estimated: bool,
    /// Smallest number or first date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// Largest number or last date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// Average of the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Standard deviation of the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stddev: Option<f64>,
    /// 5, 25, 50, 75 and 95 % of the numbers are at most this; within 1 % of the rank.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Quantiles>,
    /// Shortest text, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// Longest text, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// How the numbers are spread; each count within 1 % of all rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<Bin>,
    /// The most frequent values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Frequent>,
    /// By how much a count of `top` may be too high; absent while they are exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_error_max: Option<u64>,
    /// How many cells are of which type, where they are not all of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Value>,
}

/// Numbers at parts of a column.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub p05: f64,
    pub p25: f64,
    pub median: f64,
    pub p75: f64,
    pub p95: f64,
}

/// How many numbers lie in a range: above `from`, up to `to`; the first range also holds `from`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "said above")]
pub struct Bin {
    pub from: f64,
    pub to: f64,
    pub count: u64,
}

/// A value and how often it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "said above")]
pub struct Frequent {
    pub value: String,
    pub count: u64,
}

pub(crate) fn of(table: &Table, delimiter: u8, bytes: u64) -> TableReport {
    let names = unique_names(table);
    let columns: Vec<ColumnReport> =
        table.columns.iter().zip(names).map(|(column, name)| one(column, name)).collect();
    TableReport {
        rows: table.rows,
        bytes,
        delimiter: delimiter.into(),
        header: table.header,
        columns_total: table.widest,
        notes: notes(table, columns.len()),
        columns,
        profile: None,
    }
}

fn notes(table: &Table, shown: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if table.widest > shown {
        notes.push(format!("Only the first {shown} of {} columns were looked at.", table.widest));
    }
    if table.rows_short > 0 {
        notes.push(format!("{} rows have fewer cells than the first row.", table.rows_short));
    }
    if table.rows_long > 0 {
        notes.push(format!("{} rows have more cells than the first row.", table.rows_long));
    }
    if table.cells_cut > 0 {
        notes.push(format!(
            "{} cells are longer than 16 KiB and were compared by their beginning. Is a quote missing its end?",
            table.cells_cut
        ));
    }
    notes
}

fn unique_names(table: &Table) -> Vec<String> {
    let mut taken = HashSet::new();
    (0..table.columns.len())
        .map(|at| {
            let name = table.names.get(at).cloned().unwrap_or_else(|| format!("column {}", at + 1));
            let mut unique = name.clone();
            let mut count = 1;
            while !taken.insert(unique.clone()) {
                count += 1;
                unique = format!("{name} ({count})");
            }
            unique
        })
        .collect()
}

fn one(column: &Column, name: String) -> ColumnReport {
    let seen = column.seen;
    let of_type = seen.of_type();
    let (distinct, exact) = column.different();
    let (numeric, text) = (matches!(of_type, "integer" | "number"), of_type == "text");
    let (min, max) = match of_type {
        "integer" => (Some(json!(column.integers.0)), Some(json!(column.integers.1))),
        "number" => (Some(json!(column.numbers.0)), Some(json!(column.numbers.1))),
        "date" => column
            .dates()
            .map_or((None, None), |[first, last]| (Some(json!(first)), Some(json!(last)))),
        _ => (None, None),
    };
    let (mean, stddev) = column.mean().filter(|_| numeric).unzip();
    let sorted = numeric.then(|| column.quantiles.sorted());
    let histogram = match &sorted {
        Some(sorted) if distinct >= BINS_DISTINCT_MIN => {
            histogram(sorted, column.numbers, of_type == "integer")
        }
        _ => Vec::new(),
    };
    // Where nothing comes twice, nothing is frequent.
    let top = if distinct == seen.filled() && exact && distinct > 1 {
        Vec::new()
    } else {
        column.top.best(TOP_MAX)
    };
    let slack = column.top.slack();
    ColumnReport {
        name,
        of_type,
        nulls: seen.nulls,
        distinct,
        distinct_estimated: !exact,
        min,
        max,
        mean: mean.filter(|mean: &f64| mean.is_finite()),
        stddev: stddev.filter(|stddev: &f64| stddev.is_finite()),
        quantiles: sorted.as_ref().and_then(quantiles),
        min_length: text.then_some(column.lengths.0),
        max_length: text.then_some(column.lengths.1),
        histogram,
        top_error_max: (slack > 0 && !top.is_empty()).then_some(slack),
        top: top.into_iter().map(|(value, count)| Frequent { value, count }).collect(),
        types: types(seen),
    }
}

fn types(seen: Seen) -> Option<Value> {
    let Seen { nulls: _, integers, numbers, booleans, dates, texts } = seen;
    let all = [
        ("integer", integers),
        ("number", numbers),
        ("boolean", booleans),
        ("date", dates),
        ("text", texts),
    ];
    let present: serde_json::Map<String, Value> = all
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| (name.to_owned(), json!(n)))
        .collect();
    (present.len() > 1).then(|| present.into())
}

fn quantiles(sorted: &Sorted) -> Option<Quantiles> {
    Some(Quantiles {
        p05: sorted.quantile(0.05)?,
        p25: sorted.quantile(0.25)?,
        median: sorted.quantile(0.5)?,
        p75: sorted.quantile(0.75)?,
        p95: sorted.quantile(0.95)?,
    })
}

fn histogram(sorted: &Sorted, (min, max): (f64, f64), whole: bool) -> Vec<Bin> {
    let width = (max - min) / BINS as f64;
    if !width.is_finite() || width <= 0.0 {
        return Vec::new();
    }
    // Borders as a person would write them: two digits more than the width needs.
    let digits = if whole { 0 } else { (1.0 - width.log10().floor()).clamp(-300.0, 300.0) as i32 };
    let round = |border: f64| {
        let scale = 10_f64.powi(digits);
        let rounded = (border * scale).round() / scale;
        if rounded.is_finite() { rounded } else { border }
    };
    let mut borders = vec![min];
    borders
        .extend((1..BINS).map(|n| round(min + width * n as f64)).filter(|b| min < *b && *b < max));
    borders.push(max);
    borders.dedup();
    let mut below = 0;
    borders
        .windows(2)
        .map(|pair| {
            let up_to = sorted.rank(pair[1]).max(below);
            let count = up_to - below;
            below = up_to;
            Bin { from: pair[0], to: pair[1], count }
        })
        .collect()
}

impl TableReport {
    /// Leaves out what is least missed until the report has at most `bytes_max` bytes of JSON.
    pub fn fit(&mut self, bytes_max: usize) {
        let steps: [fn(&mut ColumnReport); 4] = [
            |column| column.top.truncate(TOP_FEW),
            |column| column.histogram.clear(),
            |column| (column.quantiles, column.types) = (None, None),
            |column| (column.top, column.top_error_max) = (Vec::new(), None),
        ];
        let fits =
            |report: &Self| serde_json::to_vec(report).is_ok_and(|json| json.len() <= bytes_max);
        for step in steps {
            if fits(self) {
                return;
            }
            self.columns.iter_mut().for_each(step);
        }
        if !fits(self) {
            self.notes.push("The columns at the end are only in the file beside this.".into());
        }
        while !fits(self) && !self.columns.is_empty() {
            let keep = self.columns.len() * 3 / 4;
            self.columns.truncate(keep);
        }
    }
}
