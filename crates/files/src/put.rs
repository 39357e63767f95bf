//! Content on its way into the object store, in parts. Under its name it is there whole or not at
//! all.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};

use crate::sniff::SNIFF_BYTES;
use crate::store::unavailable;
use crate::taken::Taken;
use crate::{Content, Error};

/// Bytes written at once, and the most of one upload that is in memory. Stores of buckets want
/// at least 5 MiB, and all parts but the last of one size.
const PART_BYTES: usize = 8 * 1_024 * 1_024;

/// What was found on the way.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) size: u64,
    pub(crate) sha256: String,
    /// The first bytes, at most [`SNIFF_BYTES`].
    pub(crate) head: Vec<u8>,
}

/// Writes `content` to `path`, within the limits of one file and of the reservation.
pub(crate) async fn put(
    store: &dyn ObjectStore,
    path: &Path,
    mut content: Content,
    file_bytes_max: u64,
    space: &mut Taken,
) -> Result<Written, Error> {
    let mut parts = Parts { store, path, upload: None, waiting: Vec::new(), waiting_bytes: 0 };
    match fill(&mut parts, &mut content, file_bytes_max, space).await {
        Ok(written) => {
            parts.finish().await?;
            Ok(written)
        }
        Err(error) => {
            parts.abort().await;
            Err(error)
        }
    }
}

async fn fill(
    parts: &mut Parts<'_>,
    content: &mut Content,
    file_bytes_max: u64,
    space: &mut Taken,
) -> Result<Written, Error> {
    let mut hash = Sha256::new();
    let mut head = Vec::new();
    let mut size = 0_u64;
    while let Some(chunk) = content.next().await {
        let chunk = chunk.map_err(Error::Content)?;
        size += chunk.len() as u64;
        if size > file_bytes_max {
            return Err(Error::TooLarge { limit_bytes: file_bytes_max });
        }
        space.grow(chunk.len() as u64).await?;
        hash.update(&chunk);
        let looked_at = chunk.len().min(SNIFF_BYTES - head.len());
        head.extend_from_slice(&chunk[..looked_at]);
        parts.push(chunk).await?;
    }
    Ok(Written { size, sha256: hex(&hash.finalize()), head })
}

struct Parts<'a> {
    store: &'a dyn ObjectStore,
    path: &'a Path,
    upload: Option<Box<dyn MultipartUpload>>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

impl Parts<'_> {
    async fn push(&mut self, mut chunk: Bytes) -> Result<(), Error> {
        while self.waiting_bytes + chunk.len() >= PART_BYTES {
            let rest = chunk.split_off(PART_BYTES - self.waiting_bytes);
            self.wait(chunk);
            self.send().await?;
            chunk = rest;
        }
        self.wait(chunk);
        Ok(())
    }

    fn wait(&mut self, chunk: Bytes) {
        /// Below this, a chunk is copied to its neighbour: a part of one-byte chunks would
        /// otherwise cost many times its size.
        const SMALL_BYTES: usize = 4_096;
        if chunk.is_empty() {
            return;
        }
        self.waiting_bytes += chunk.len();
        if let Some(last) = self.waiting.last_mut()
            && last.len() + chunk.len() <= SMALL_BYTES
        {
            let mut joined = match std::mem::take(last).try_into_mut() {
                Ok(joined) => joined,
                Err(shared) => {
                    let mut joined = BytesMut::with_capacity(SMALL_BYTES);
                    joined.extend_from_slice(&shared);
                    joined
                }
            };
            joined.extend_from_slice(&chunk);
            *last = joined.freeze();
            return;
        }
        self.waiting.push(chunk);
    }

    fn take(&mut self) -> PutPayload {
        self.waiting_bytes = 0;
        self.waiting.drain(..).collect()
    }

    async fn send(&mut self) -> Result<(), Error> {
        let part = self.take();
        if self.upload.is_none() {
            let upload = self.store.put_multipart(self.path).await;
            self.upload = Some(upload.map_err(|e| unavailable(&e))?);
        }
        let upload = self.upload.as_mut().expect("begun above");
        upload.put_part(part).await.map_err(|e| unavailable(&e))
    }

    async fn finish(mut self) -> Result<(), Error> {
        if self.upload.is_none() {
            let whole = self.take();
            self.store.put(self.path, whole).await.map_err(|e| unavailable(&e))?;
            return Ok(());
        }
        if self.waiting_bytes > 0 {
            self.send().await?;
        }
        let mut upload = self.upload.take().expect("looked at above");
        match upload.complete().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let _ = upload.abort().await;
                Err(unavailable(&error))
            }
        }
    }

    async fn abort(mut self) {
        if let Some(mut upload) = self.upload.take() {
            // What cannot be removed now, the sweep removes.
            let _ = upload.abort().await;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
