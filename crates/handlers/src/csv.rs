//! `csv.profile`: what is in each column of a table. It streams a file of any size through
//! constant memory: sketches instead of tables. Cells are looked at and never evaluated.

mod column;
mod detect;
mod hll;
mod kll;
mod parse;
mod profile;
mod report;
mod sniff;
mod top;
mod value;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tasktonic_files::Content;
use tasktonic_worker::{Context, Failure, Handler, KindInfo};
use tokio::sync::mpsc;

pub use profile::{Profiler, UnreadableTable};
pub use report::{Bin, ColumnReport, Frequent, Quantiles, TableReport};

use crate::blocking::blocking;
use crate::file::{self, FileRef, OUTPUT_BYTES_MAX};

/// The kind.
pub const KIND: &str = "csv.profile";
/// Columns that are looked at; further ones are only counted. A column takes about 110 KiB.
pub const COLUMNS_MAX: usize = 256;
/// Portions of the file that wait for the processor.
const PORTIONS_WAITING_MAX: usize = 8;
/// Bytes between two reports of progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// The handler.
#[derive(Debug, Clone, Copy, Default)]
pub struct CsvProfile;

/// What it is asked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// A CSV or TSV file in UTF-8, of any size.
    #[schemars(title = "Table", extend("accept" = ".csv,.tsv,.txt,text/csv,text/tab-separated-values"))]
    file: FileRef,
    /// What stands between two cells. Left empty, it is found from the beginning of the file.
    #[serde(default)]
    #[schemars(title = "Delimiter")]
    delimiter: Option<Delimiter>,
    /// Whether the first row holds the names of the columns.
    #[serde(default = "yes")]
    #[schemars(title = "First row is a header")]
    header: bool,
}

/// What stands between two cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Delimiter {
    #[serde(rename = ",")]
    #[expect(missing_docs, reason = "a description would show as a hint beside the character")]
    Comma,
    #[serde(rename = ";")]
    #[expect(missing_docs, reason = "as above")]
    Semicolon,
    #[serde(rename = "\t")]
    #[expect(missing_docs, reason = "as above")]
    Tab,
    #[serde(rename = "|")]
    #[expect(missing_docs, reason = "as above")]
    Pipe,
}

fn yes() -> bool {
    true
}

impl Delimiter {
    /// The byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }
}

#[async_trait]
impl Handler for CsvProfile {
    type Payload = Payload;
    type Output = TableReport;

    fn info(&self) -> KindInfo {
        KindInfo {
            title: Some("Profile a table".into()),
            description: Some(
                "Reads a CSV file of any size and says what is in each column: type, empty cells, different values, range, distribution, most frequent values.".into(),
            ),
            example: Some(json!({ "header": true })),
            ..KindInfo::new(KIND)
        }
    }

    async fn run(&self, payload: Payload, cx: &Context) -> Result<TableReport, Failure> {
        let (meta, content) = file::open(cx, payload.file).await?;
        let profiler = Profiler::new(payload.delimiter.map(Delimiter::byte), payload.header);
        let mut report = profile(profiler, content, meta.size, cx).await?;
        cx.info(format!(
            "{} rows, {} columns in {} bytes",
            report.rows, report.columns_total, report.bytes
        ));

        let whole = serde_json::to_vec(&report)?;
        if whole.len() > OUTPUT_BYTES_MAX {
            let name = format!("{}-profile.json", file::stem(&meta.name));
            report.profile = Some(file::keep(cx, &name, whole).await?);
            report.fit(OUTPUT_BYTES_MAX);
        }
        Ok(report)
    }
}

/// Moves the content to a thread that reads it, a few portions ahead.
async fn profile(
    profiler: Profiler,
    mut content: Content,
    size: u64,
    cx: &Context,
) -> Result<TableReport, Failure> {
    let (portions, waiting) = mpsc::channel(PORTIONS_WAITING_MAX);
    let at_work = tokio::spawn(blocking({
        let cx = cx.clone();
        move || read_all(profiler, waiting, size, &cx)
    }));
    let mut broken = None;
    loop {
        let next = tokio::select! {
            () = cx.cancelled() => return Err(Failure::Cancelled),
            next = content.next() => next,
        };
        match next {
            Some(Ok(portion)) => {
                // It stopped reading; it says why below.
                if portions.send(portion).await.is_err() {
                    break;
                }
            }
            Some(Err(error)) => {
                broken = Some(Failure::attempt(
                    "file_broke_off",
                    format!("the file broke off: {error}"),
                ));
                break;
            }
            None => break,
        }
    }
    drop(portions);
    let done = match at_work.await {
        Ok(done) => done,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Failure::Cancelled),
        },
    };
    match broken {
        Some(failure) => Err(failure),
        None => done,
    }
}

fn read_all(
    mut profiler: Profiler,
    mut portions: mpsc::Receiver<Bytes>,
    size: u64,
    cx: &Context,
) -> Result<TableReport, Failure> {
    let unreadable = |error: UnreadableTable| Failure::fatal("table_unreadable", error.to_string());
    let mut told = 0;
    while let Some(portion) = portions.blocking_recv() {
        if cx.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        profiler.feed(&portion).map_err(unreadable)?;
        let done = profiler.bytes();
        if done - told >= PROGRESS_BYTES {
            told = done;
            cx.progress(done, size.max(done), "bytes", None);
        }
    }
    let report = profiler.finish().map_err(unreadable)?;
    cx.progress(report.bytes, report.bytes, "bytes", None);
    Ok(report)
}
