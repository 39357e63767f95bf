//! The files of a task's user, for a worker in another process: through the API, by the right of
//! the lease.

use async_trait::async_trait;
use tasktonic_core::Lease;
use tasktonic_files::{Content, Error as FileError, FileId, FileMeta, OUTPUT_NAME, TaskFiles};
use tasktonic_protocol::http::StoredFile;
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::time::parse_rfc3339;

use crate::{Client, Error};

/// Files through the API.
#[derive(Debug, Clone)]
pub struct RemoteFiles {
    client: Client,
}

impl RemoteFiles {
    /// The files behind `client`, whose token is a worker's.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl TaskFiles for RemoteFiles {
    async fn read(&self, lease: &Lease, file: &FileId) -> Result<(FileMeta, Content), FileError> {
        let lease = lease.to_string();
        let got = self.client.fetch_file(&file.to_string(), Some(&lease)).await;
        let got = got.map_err(file_error)?;
        let text = |name: &str| got.headers.get(name).and_then(|value| value.to_str().ok());
        let meta = FileMeta {
            id: *file,
            size: got.size.unwrap_or_default(),
            sha256: text("etag").unwrap_or_default().trim_matches('"').to_owned(),
            // A download does not say it, and no handler asks.
            created_ms: 0,
            name: got.name,
            media_type: got.media_type,
        };
        Ok((meta, got.content))
    }

    async fn keep(
        &self,
        lease: &Lease,
        name: &str,
        content: Content,
    ) -> Result<FileMeta, FileError> {
        self.send(lease, &[("name", name.into())], content).await
    }

    async fn keep_output(&self, lease: &Lease, content: Content) -> Result<FileMeta, FileError> {
        let query = [("name", OUTPUT_NAME.into()), ("output", "1".into())];
        self.send(lease, &query, content).await
    }
}

impl RemoteFiles {
    async fn send(
        &self,
        lease: &Lease,
        query: &[(&str, String)],
        content: Content,
    ) -> Result<FileMeta, FileError> {
        let lease = lease.to_string();
        let sent = self.client.send_file(query, None, Some(&lease), content).await;
        let stored: StoredFile =
            sent.and_then(|answer| self.client.read(&answer)).map_err(file_error)?;
        let id = stored.id.parse().map_err(|_| {
            FileError::Unavailable("the server answered without the id of the file".into())
        })?;
        Ok(FileMeta {
            id,
            name: stored.name,
            size: stored.size,
            media_type: stored.media_type,
            sha256: stored.sha256,
            created_ms: parse_rfc3339(&stored.created_at).unwrap_or_default(),
        })
    }
}

/// What a refusal means to who works with files.
fn file_error(error: Error) -> FileError {
    match (error.code(), error) {
        (Some(Code::NotFound), _) => FileError::NotFound,
        (Some(Code::LostLease), _) => FileError::LostLease,
        (_, Error::Content(error)) => FileError::Content(error),
        (Some(code), error) => match (code, limit(&error)) {
            (Code::PayloadTooLarge, Some(limit_bytes)) => FileError::TooLarge { limit_bytes },
            (Code::QuotaExceeded, Some(limit_files)) if error.to_string().contains(" files;") => {
                FileError::TooMany { limit_files }
            }
            (Code::QuotaExceeded, Some(limit_bytes)) => FileError::Quota { limit_bytes },
            _ => FileError::Unavailable(error.to_string()),
        },
        (_, error) => FileError::Unavailable(error.to_string()),
    }
}

/// The limit that the server's words name.
fn limit(error: &Error) -> Option<u64> {
    let Error::Problem { problem, .. } = error else { return None };
    let is_digit = |c: char| c.is_ascii_digit();
    let digits = &problem.detail[problem.detail.find(is_digit)?..];
    digits[..digits.find(|c| !is_digit(c)).unwrap_or(digits.len())].parse().ok()
}
