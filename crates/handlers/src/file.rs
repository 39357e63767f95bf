//! Files in payloads and outputs, in the form that the pages show and fill in.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::stream;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use tasktonic_files::{Content, Error, FileId, FileMeta};
use tasktonic_worker::{Context, Failure};

/// Longest output a handler here makes, in bytes of JSON. The worker refuses more than 64 KiB;
/// what is larger is kept as a file.
pub const OUTPUT_BYTES_MAX: usize = 60 * 1024;
/// Longest name given to a file that a handler keeps, in bytes.
pub const FILE_NAME_BYTES_MAX: usize = 200;

/// The id of a file of the task's user, as it stands in a payload. In the schema it is a string of
/// `format: "file"`, which the pages turn into a place to drop files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileRef(pub FileId);

impl<'de> Deserialize<'de> for FileRef {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

impl JsonSchema for FileRef {
    fn schema_name() -> Cow<'static, str> {
        "File".into()
    }

    // Whoever looks for the files of a payload follows no references.
    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "file", "pattern": "^[A-Za-z0-9_-]{22}$" })
    }
}

/// A file as an output names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileOut {
    /// Its id.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Content type.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

impl From<FileMeta> for FileOut {
    fn from(meta: FileMeta) -> Self {
        let FileMeta { id, name, size, media_type, .. } = meta;
        Self { file: id.to_string(), name, media_type, size }
    }
}

/// Opens a file of the payload.
pub(crate) async fn open(cx: &Context, file: FileRef) -> Result<(FileMeta, Content), Failure> {
    cx.read_file(&file.0).await.map_err(|error| refused(error, &format!("the file {}", file.0)))
}

/// Keeps bytes as a file of the task.
pub(crate) async fn keep(cx: &Context, name: &str, bytes: Vec<u8>) -> Result<FileOut, Failure> {
    let content: Content = Box::pin(stream::once(async { Ok(Bytes::from(bytes)) }));
    keep_stream(cx, name, content).await
}

/// Keeps a stream as a file of the task.
pub(crate) async fn keep_stream(
    cx: &Context,
    name: &str,
    content: Content,
) -> Result<FileOut, Failure> {
    let name = fitting(name, FILE_NAME_BYTES_MAX);
    match cx.keep_file(name, content).await {
        Ok(meta) => Ok(meta.into()),
        Err(error) => Err(refused(error, name)),
    }
}

/// What no other attempt can mend is final.
fn refused(error: Error, what: &str) -> Failure {
    let message = format!("{what}: {error}");
    match error {
        Error::NotFound => Failure::fatal(
            "file_not_found",
            format!(
                "{what}: there is no such file any more. Upload it again and start a new task."
            ),
        ),
        Error::TooLarge { .. } => Failure::fatal("file_too_large", message),
        Error::Quota { .. } | Error::TooMany { .. } => Failure::fatal("files_quota", message),
        Error::Name { .. } => Failure::fatal("file_name", message),
        // Nobody listens any more; the worker drops whatever is said.
        Error::LostLease => Failure::Cancelled,
        Error::Content(_) | Error::Unavailable(_) => Failure::attempt("files_unavailable", message),
    }
}

/// The longest beginning of `text` with at most `bytes_max` bytes.
pub(crate) fn fitting(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A file name without its folder and ending: `a/b.c.jpg` as `b.c`.
pub(crate) fn stem(name: &str) -> &str {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match base.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_has_neither_folder_nor_ending() {
        for (name, expected) in [
            ("cat.jpg", "cat"),
            ("../../etc/cat.tar.gz", "cat.tar"),
            ("C:\\photos\\cat.png", "cat"),
            (".hidden", ".hidden"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(stem(name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_is_cut_at_a_character() {
        assert_eq!(fitting("aé", 2), "a");
        assert_eq!(fitting("aé", 3), "aé");
    }

    #[test]
    fn the_schema_of_a_file_is_what_the_pages_look_for() {
        let schema = schemars::schema_for!(Vec<FileRef>).to_value();
        assert_eq!(schema["items"]["format"], "file", "{schema}");
    }
}
