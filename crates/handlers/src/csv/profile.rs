//! The table as a whole: rows and columns from bytes, and what no table is.

use super::column::Column;
use super::detect::{self, SAMPLE_BYTES};
use super::parse::{CELL_BYTES_MAX, Parser, Sink};
use super::report::TableReport;
use super::{COLUMNS_MAX, report, sniff};
use crate::file::fitting;

/// Longest name of a column, in bytes.
const NAME_BYTES_MAX: usize = 120;

/// Takes the bytes of a table in any portions and says at the end what is in it. Needs at most
/// about 30 MiB, whatever comes.
pub struct Profiler {
    delimiter: Option<u8>,
    /// The beginning of the file, until the delimiter is known.
    sample: Vec<u8>,
    parser: Option<Parser>,
    table: Table,
    bytes: u64,
}

/// Why a file is no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableTable {
    /// Two bytes a character.
    #[error("This file is UTF-16. Save it as CSV UTF-8 and start a new task.")]
    Utf16,
    /// A spreadsheet or an archive.
    #[error(
        "This file is a spreadsheet or an archive. Save the sheet as CSV and start a new task."
    )]
    Zip,
    /// Compressed.
    #[error("This file is compressed. Unpack it and start a new task.")]
    Compressed,
    /// Something else that has a name.
    #[error("This file is {0}, not a table of text. Choose a CSV file and start a new task.")]
    Known(&'static str),
    /// No text, and nothing that is known here.
    #[error(
        "This file is binary data, not a table of text. Save it as CSV UTF-8 and start a new task."
    )]
    Binary,
}

/// What has been seen so far.
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) names: Vec<String>,
    /// Whether the first row holds names and has not been seen yet.
    header_awaited: bool,
    pub(crate) header: bool,
    /// The cell that comes next, from 0.
    at: usize,
    pub(crate) widest: usize,
    /// Rows without the header.
    pub(crate) rows: u64,
    pub(crate) rows_short: u64,
    pub(crate) rows_long: u64,
    pub(crate) cells_cut: u64,
    /// Cells that the header, or the first row, has.
    width: Option<usize>,
}

impl Profiler {
    /// A profiler; without a `delimiter` it finds one of `,` `;` tab `|`.
    #[must_use]
    pub fn new(delimiter: Option<u8>, header: bool) -> Self {
        let table = Table {
            columns: Vec::new(),
            names: Vec::new(),
            header_awaited: header,
            header,
            at: 0,
            widest: 0,
            rows: 0,
            rows_short: 0,
            rows_long: 0,
            cells_cut: 0,
            width: None,
        };
        Self { delimiter, sample: Vec::new(), parser: None, table, bytes: 0 }
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next portion of the file.
    ///
    /// # Errors
    /// If the beginning shows that this is no table of text.
    pub fn feed(&mut self, portion: &[u8]) -> Result<(), UnreadableTable> {
        self.bytes += portion.len() as u64;
        if let Some(parser) = &mut self.parser {
            parser.feed(portion, &mut self.table);
            return Ok(());
        }
        let missing = SAMPLE_BYTES - self.sample.len();
        let (first, rest) = portion.split_at(portion.len().min(missing));
        self.sample.extend_from_slice(first);
        if self.sample.len() == SAMPLE_BYTES {
            self.begin()?;
            if let Some(parser) = &mut self.parser {
                parser.feed(rest, &mut self.table);
            }
        }
        Ok(())
    }

    /// Says what was in it.
    ///
    /// # Errors
    /// As [`Profiler::feed`], for a file that is shorter than its beginning.
    pub fn finish(mut self) -> Result<TableReport, UnreadableTable> {
        if self.parser.is_none() {
            self.begin()?;
        }
        let mut parser = self.parser.take().expect("begun above");
        parser.end(&mut self.table);
        let delimiter = self.delimiter.expect("found when it began");
        Ok(report::of(&self.table, delimiter, self.bytes))
    }

    fn begin(&mut self) -> Result<(), UnreadableTable> {
        let sample = std::mem::take(&mut self.sample);
        sniff::text(&sample)?;
        let delimiter = *self.delimiter.get_or_insert_with(|| detect::delimiter(&sample));
        let parser = self.parser.insert(Parser::new(delimiter));
        parser.feed(&sample, &mut self.table);
        Ok(())
    }
}

impl std::fmt::Debug for Profiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profiler").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Sink for Table {
    fn cell(&mut self, cell: &[u8], bytes: u64, last: bool) {
        if bytes > CELL_BYTES_MAX as u64 {
            self.cells_cut += 1;
        }
        let at = self.at;
        self.at += 1;
        if at < COLUMNS_MAX {
            if self.columns.len() == at {
                // Rows before this one had no such cell.
                let mut column = Column::new();
                column.missing(self.rows);
                self.columns.push(column);
            }
            if self.header_awaited {
                self.names.push(name(cell, at));
            } else {
                self.columns[at].insert(cell, bytes);
            }
        }
        if last {
            self.row_ends();
        }
    }
}

impl Table {
    fn row_ends(&mut self) {
        let cells = std::mem::take(&mut self.at);
        self.widest = self.widest.max(cells);
        let width = *self.width.get_or_insert(cells);
        if std::mem::take(&mut self.header_awaited) {
            return;
        }
        self.rows += 1;
        self.rows_short += u64::from(cells < width);
        self.rows_long += u64::from(cells > width);
        for column in self.columns.iter_mut().skip(cells) {
            column.missing(1);
        }
    }
}

fn name(cell: &[u8], at: usize) -> String {
    let text = String::from_utf8_lossy(&cell[..cell.len().min(4 * NAME_BYTES_MAX)]);
    match fitting(text.trim(), NAME_BYTES_MAX) {
        "" => format!("column {}", at + 1),
        name => name.to_owned(),
    }
}
