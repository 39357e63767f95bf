//! Outputs that are too long for the record of their task.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tasktonic_core::Lease;
use tasktonic_each_store::{On, on_each_store};
use tasktonic_files::{Content, Error, FileId, FileMeta, TaskFiles};
use tasktonic_protocol::stored::OutputFile;
use tasktonic_worker::Worker;
use tasktonic_worker::limits::{OUTPUT_BYTES_MAX, OUTPUT_FILE_BYTES_MAX, OUTPUT_KEPT_TRIES};

use super::stage::{Draft, Stage, draft, handler, settings, start};

/// Files in memory, which do not answer the first so many times, or never have room.
#[derive(Default)]
struct Memory {
    all: Mutex<HashMap<FileId, (Lease, Vec<u8>)>>,
    away: AtomicU32,
    is_full: bool,
}

#[async_trait]
impl TaskFiles for Memory {
    async fn read(&self, lease: &Lease, file: &FileId) -> Result<(FileMeta, Content), Error> {
        let (kept_by, text) = self.all.lock().unwrap().get(file).cloned().ok_or(Error::NotFound)?;
        assert_eq!(kept_by.user, lease.user);
        let parts: Vec<_> = text.chunks(1_000).map(|part| Ok(part.to_vec().into())).collect();
        let meta = meta(*file, text.len());
        Ok((meta, stream::iter(parts).boxed()))
    }

    async fn keep(&self, _: &Lease, _: &str, _: Content) -> Result<FileMeta, Error> {
        panic!("an output is kept as one")
    }

    async fn keep_output(&self, lease: &Lease, mut content: Content) -> Result<FileMeta, Error> {
        let away = |left: u32| left.checked_sub(1);
        if self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, away).is_ok() {
            return Err(Error::Unavailable("they are away".into()));
        }
        if self.is_full {
            return Err(Error::Quota { limit_bytes: 1 });
        }
        let mut text = Vec::new();
        while let Some(part) = content.next().await {
            text.extend_from_slice(&part.map_err(Error::Content)?);
        }
        let mut all = self.all.lock().unwrap();
        let mut id = [0; 16];
        id[0] = u8::try_from(all.len() + 1).unwrap();
        let (id, size) = (FileId::from_bytes(id), text.len());
        all.insert(id, (lease.clone(), text));
        Ok(meta(id, size))
    }
}

fn meta(id: FileId, size: usize) -> FileMeta {
    FileMeta {
        id,
        name: "output.json".into(),
        size: size as u64,
        media_type: "application/json".into(),
        sha256: String::new(),
        created_ms: 0,
    }
}

fn long(stage: &Stage, files: Arc<Memory>) -> Worker {
    let text = handler("long", async |payload: Value, _| {
        let bytes = usize::try_from(payload["bytes"].as_u64().unwrap()).unwrap();
        Ok(json!("x".repeat(bytes - 2)))
    });
    let count = handler("count", async |_, cx| {
        let mut counts = Vec::new();
        for input in cx.inputs().all().await? {
            let text: String = input.read()?.unwrap();
            assert!(text.bytes().all(|byte| byte == b'x'));
            counts.push(text.len() + 2);
        }
        Ok(json!(counts))
    });
    let id = "w-1".parse().unwrap();
    Worker::new(id, stage.store.clone(), files, settings()).register_any(text).register_any(count)
}

fn of(bytes: usize) -> Draft {
    Draft { payload: json!({ "bytes": bytes }), ..draft("long") }
}

on_each_store! {
    a_long_output_becomes_a_file_and_whoever_waited_reads_it_whole
}

async fn a_long_output_becomes_a_file_and_whoever_waited_reads_it_whole(on: On) {
    let (stage, files) = (Stage::over(on).await, Arc::new(Memory::default()));
    let _running = start(long(&stage, files.clone()));
    let sizes = [OUTPUT_BYTES_MAX, OUTPUT_BYTES_MAX + 1, OUTPUT_FILE_BYTES_MAX];
    let nodes: Vec<_> = sizes.iter().map(|bytes| stage.node(of(*bytes), &[])).collect();
    let before: Vec<_> = nodes.iter().map(|node| node.new.task).collect();
    let user = nodes[0].new.user.clone();
    let count = stage.node(draft("count"), &before);
    let last = (user.clone(), count.new.task);
    stage.submit_tied(nodes.into_iter().chain([count]).collect()).await;
    let seen = stage.wait(&last, "completed").await;
    assert_eq!(seen.output, Some(json!(sizes).to_string()));
    for (task, bytes) in before.into_iter().zip(sizes) {
        let seen = stage.see(&(user.clone(), task)).await;
        let (stored, output) = (seen.stored.unwrap(), seen.output.unwrap());
        let in_file = bytes > OUTPUT_BYTES_MAX;
        assert_eq!((stored.body.ho, stored.body.fo), (true, in_file), "{bytes}");
        if !in_file {
            assert_eq!(output.len(), bytes, "up to the limit it stands in the record");
            continue;
        }
        // The record of the task does not grow with it.
        assert!(output.len() < 200, "{output}");
        let named: OutputFile = serde_json::from_str(&output).unwrap();
        assert_eq!((named.name.as_str(), named.size), ("output.json", bytes as u64));
        let all = files.all.lock().unwrap();
        let (lease, text) = &all[&named.file.parse().unwrap()];
        assert_eq!((lease.task, text.len()), (task, bytes));
        assert_eq!((text[0], text[1], text[bytes - 1]), (b'"', b'x', b'"'));
    }
    assert_eq!(files.all.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_output_is_not_lost_to_files_that_are_away_for_a_moment() {
    let files =
        Arc::new(Memory { away: AtomicU32::new(OUTPUT_KEPT_TRIES - 1), ..Memory::default() });
    let stage = Stage::new();
    let _running = start(long(&stage, files.clone()));
    let task = stage.submit(of(OUTPUT_BYTES_MAX + 1)).await;
    let seen = stage.wait(&task, "completed").await.stored.unwrap();
    assert_eq!((seen.a, seen.body.fo), (1, true));
    // For longer: the attempt has failed, and the next one may end.
    files.away.store(OUTPUT_KEPT_TRIES, Ordering::SeqCst);
    let task = stage.submit(of(OUTPUT_BYTES_MAX + 1)).await;
    assert_eq!(stage.wait(&task, "completed").await.stored.unwrap().a, 2);
    let failed = stage.attempts(&task).await.remove(0).err.unwrap();
    assert_eq!(failed.code, "files_unavailable");
}

#[tokio::test]
async fn an_output_for_which_its_user_has_no_room_is_final_and_says_so() {
    let files = Arc::new(Memory { is_full: true, ..Memory::default() });
    let stage = Stage::new();
    let _running = start(long(&stage, files));
    for (bytes, code) in
        [(OUTPUT_BYTES_MAX + 1, "files_quota"), (OUTPUT_FILE_BYTES_MAX + 1, "output_too_large")]
    {
        let task = stage.submit(of(bytes)).await;
        let seen = stage.wait(&task, "dead").await.stored.unwrap();
        assert_eq!((seen.a, seen.body.err.unwrap().code.as_str()), (1, code));
        assert!(!seen.body.ho && !seen.body.fo);
    }
}
