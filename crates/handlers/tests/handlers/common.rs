//! Files in memory, for handlers under test.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tasktonic_core::Lease;
use tasktonic_files::{Content, Error, FileId, FileMeta, TaskFiles};
use tasktonic_worker::Failure;
use tasktonic_worker::testing::Ran;

/// What is handed out at once, in bytes: an odd number, so that nothing lines up.
const PORTION_BYTES: usize = 4_093;

#[derive(Default)]
pub(crate) struct MemoryFiles {
    all: Mutex<HashMap<FileId, (FileMeta, Bytes)>>,
}

impl MemoryFiles {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Puts a file there and returns its id.
    pub(crate) fn put(&self, name: &str, bytes: impl Into<Bytes>) -> String {
        self.add(name, bytes.into()).id.to_string()
    }

    pub(crate) fn bytes(&self, id: &str) -> Bytes {
        self.all.lock().unwrap()[&id.parse().unwrap()].1.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.all.lock().unwrap().len()
    }

    fn add(&self, name: &str, bytes: Bytes) -> FileMeta {
        let mut all = self.all.lock().unwrap();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(all.len() as u64 + 1).to_le_bytes());
        let meta = FileMeta {
            id: FileId::from_bytes(id),
            name: name.to_owned(),
            size: bytes.len() as u64,
            media_type: "application/octet-stream".to_owned(),
            sha256: String::new(),
            created_ms: 0,
        };
        all.insert(meta.id, (meta.clone(), bytes));
        meta
    }
}

#[async_trait]
impl TaskFiles for MemoryFiles {
    async fn read(&self, _: &Lease, file: &FileId) -> Result<(FileMeta, Content), Error> {
        let (meta, bytes) = self.all.lock().unwrap().get(file).cloned().ok_or(Error::NotFound)?;
        let parts: Vec<_> =
            bytes.chunks(PORTION_BYTES).map(|part| Ok(bytes.slice_ref(part))).collect();
        Ok((meta, Box::pin(stream::iter(parts))))
    }

    async fn keep(&self, _: &Lease, name: &str, mut content: Content) -> Result<FileMeta, Error> {
        let mut all = Vec::new();
        while let Some(part) = content.next().await {
            all.extend_from_slice(&part.map_err(Error::Content)?);
        }
        Ok(self.add(name, all.into()))
    }
}

/// The code of a failure that no other attempt can mend.
#[track_caller]
pub(crate) fn final_code(ran: &Ran) -> (&str, &str) {
    match ran.failure() {
        Failure::Final(error) => (&error.code, &error.message),
        other => panic!("not final: {other:?}"),
    }
}

/// The code of a failed attempt.
#[track_caller]
pub(crate) fn attempt_code(ran: &Ran) -> (&str, &str) {
    match ran.failure() {
        Failure::Attempt { error, .. } => (&error.code, &error.message),
        other => panic!("not a failed attempt: {other:?}"),
    }
}
