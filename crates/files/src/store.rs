//! The files of all users in one object store: `<user>/<file>/content`, then
//! `<user>/<file>/meta.json`, which makes it visible, and `<user>/<file>/uses/<task>`.

use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _};
use tasktonic_core::{Lease, TaskId, UserId};
use url::Url;

use crate::ledger::Ledger;
use crate::meta::StoredMeta;
use crate::space::{Space, Spaces, Used};
use crate::{Content, Error, FileId, FileMeta, OUTPUT_NAME, TaskFiles, put, sniff};

/// Largest file unless configured otherwise, in bytes.
pub const FILE_BYTES_MAX: u64 = 2 * 1_024 * 1_024 * 1_024;
/// Most bytes of one user unless configured otherwise.
pub const USER_BYTES_MAX: u64 = 20 * 1_024 * 1_024 * 1_024;
/// Most files of one user unless configured otherwise: also empty ones take a place on the disk.
pub const USER_FILES_MAX: u64 = 100_000;
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

pub(crate) const CONTENT: &str = "content";
pub(crate) const META: &str = "meta.json";
pub(crate) const USES: &str = "uses";
/// What says that a file was to be the output of a task: `output/<task>.<claim>`, an empty object.
pub(crate) const OUTPUT: &str = "output";

/// Limits of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLimits {
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Bytes of all files of one user together.
    pub user_bytes_max: u64,
    /// Files of one user.
    pub user_files_max: u64,
}

impl FileLimits {
    /// [`FILE_BYTES_MAX`], [`USER_BYTES_MAX`] and [`USER_FILES_MAX`].
    pub const DEFAULT: Self = Self {
        file_bytes_max: FILE_BYTES_MAX,
        user_bytes_max: USER_BYTES_MAX,
        user_files_max: USER_FILES_MAX,
    };
}

impl Default for FileLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What is known of a file before its content.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// The name; data, never a path.
    pub name: String,
    /// The type its sender says it has; kept only where the content does not contradict it.
    pub media_type: Option<String>,
    /// The task that makes it; absent for an upload.
    pub task: Option<TaskId>,
}

/// The files of all users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Files {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Box<dyn ObjectStore>,
    /// The folder, if the store is one.
    folder: Option<PathBuf>,
    limits: FileLimits,
    now_ms: fn() -> i64,
    spaces: Spaces,
    /// What is counted together with other processes; empty where there are none.
    ledger: OnceLock<Arc<dyn Ledger>>,
}

impl Files {
    /// The files at `url`: `file:///folder`, made if it is not there, and closed to other users
    /// of the machine (0700) in any case. `memory:///` keeps them only as long as the process.
    ///
    /// # Errors
    /// [`Error::Unavailable`], saying what is wrong with the address or the folder.
    pub async fn open(url: &str, limits: FileLimits, now_ms: fn() -> i64) -> Result<Self, Error> {
        let bad = |why: &dyn std::fmt::Display| {
            Error::Unavailable(format!("the address of the files is not usable: {why}"))
        };
        let url = Url::parse(url).map_err(|e| bad(&e))?;
        let (store, folder): (Box<dyn ObjectStore>, _) = if url.scheme() == "file" {
            let folder =
                url.to_file_path().map_err(|()| bad(&"write it as file:///an/absolute/folder"))?;
            let made = folder.clone();
            tokio::task::spawn_blocking(move || close(&made))
                .await
                .map_err(|e| bad(&e))?
                .map_err(|e| bad(&e))?;
            let store = LocalFileSystem::new_with_prefix(&folder).map_err(|e| bad(&e))?;
            (Box::new(store.with_automatic_cleanup(true).with_fsync(true)), Some(folder))
        } else {
            let (store, prefix) = object_store::parse_url(&url).map_err(|e| bad(&e))?;
            (Box::new(PrefixStore::new(store, prefix)), None)
        };
        let (spaces, ledger) = (Spaces::default(), OnceLock::new());
        let inner = Inner { store, folder, limits, now_ms, spaces, ledger };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Keeps a file. It can be seen when this answers and not before, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::TooLarge`], [`Error::Quota`], [`Error::TooMany`],
    /// [`Error::Content`], [`Error::Unavailable`]: nothing was kept.
    pub async fn keep(
        &self,
        user: &UserId,
        new: NewFile,
        content: Content,
    ) -> Result<FileMeta, Error> {
        self.keep_as(user, new, None, content).await
    }

    /// Keeps the output of a task, which is held under this claim. If the task does not end with it,
    /// it is swept.
    ///
    /// # Errors
    /// As [`Files::keep`].
    pub async fn keep_output(
        &self,
        user: &UserId,
        task: TaskId,
        claim: u32,
        content: Content,
    ) -> Result<FileMeta, Error> {
        let new = NewFile { name: OUTPUT_NAME.into(), media_type: None, task: Some(task) };
        self.keep_as(user, new, Some(claim), content).await
    }

    async fn keep_as(
        &self,
        user: &UserId,
        new: NewFile,
        claim: Option<u32>,
        content: Content,
    ) -> Result<FileMeta, Error> {
        check_name(&new.name)?;
        let id = FileId::from_bytes(rand::random());
        let limits = self.inner.limits;
        let mut taken = self.take(user, id).await?;

        let store = self.store();
        let at = path(user, id, CONTENT);
        let written = put::put(store, &at, content, limits.file_bytes_max, &mut taken).await?;
        let meta = StoredMeta {
            v: StoredMeta::V,
            media_type: sniff::media_type(&written.head, &new.name, new.media_type.as_deref()),
            name: new.name,
            size: written.size,
            sha256: written.sha256,
            created_ms: self.now_ms(),
            task: new.task.map(|task| task.to_string()),
        };
        if let Err(error) = self.publish(user, id, &meta, new.task, claim).await {
            // What cannot be removed now, the sweep removes.
            let _ = store.delete(&at).await;
            return Err(error);
        }
        taken.keep().await;
        Ok(meta.read(id))
    }

    async fn publish(
        &self,
        user: &UserId,
        id: FileId,
        meta: &StoredMeta,
        task: Option<TaskId>,
        claim: Option<u32>,
    ) -> Result<(), Error> {
        if let (Some(task), Some(claim)) = (task, claim) {
            let at = path(user, id, &format!("{OUTPUT}/{task}.{claim}"));
            self.store().put(&at, Vec::new().into()).await.map_err(|e| unavailable(&e))?;
        }
        // The use comes first: a file that can be seen is never one that the sweep may take.
        if let Some(task) = task {
            self.note_use(user, id, task).await?;
        }
        let text = serde_json::to_vec(meta).expect("strings and numbers serialise");
        self.store().put(&path(user, id, META), text.into()).await.map_err(|e| unavailable(&e))?;
        Ok(())
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has no such file, [`Error::Unavailable`].
    pub async fn meta(&self, user: &UserId, file: &FileId) -> Result<FileMeta, Error> {
        Ok(self.stored_meta(user, *file).await?.read(*file))
    }

    pub(crate) async fn stored_meta(
        &self,
        user: &UserId,
        file: FileId,
    ) -> Result<StoredMeta, Error> {
        let found = self.store().get(&path(user, file, META)).await.map_err(|e| unavailable(&e))?;
        let text = found.bytes().await.map_err(|e| unavailable(&e))?;
        serde_json::from_slice(&text)
            .map_err(|_| Error::Unavailable("the record of this file cannot be read".into()))
    }

    /// A file, or a range of its bytes. Of a range that reaches beyond its end, what there is.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has no such file, [`Error::Unavailable`].
    pub async fn read(
        &self,
        user: &UserId,
        file: &FileId,
        range: Option<Range<u64>>,
    ) -> Result<(FileMeta, Content), Error> {
        let meta = self.meta(user, file).await?;
        let wanted = range.unwrap_or(0..meta.size);
        let wanted = wanted.start..wanted.end.min(meta.size);
        if wanted.is_empty() {
            return Ok((meta, Box::pin(stream::empty())));
        }
        let options = GetOptions { range: Some(wanted.into()), ..GetOptions::default() };
        let at = path(user, *file, CONTENT);
        let found = self.store().get_opts(&at, options).await.map_err(|e| unavailable(&e))?;
        Ok((meta, found.into_stream().map_err(std::io::Error::other).boxed()))
    }

    /// Notes that `task` uses `file`, so that it is kept as long as the task.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has no such file, [`Error::Unavailable`].
    pub async fn attach(&self, user: &UserId, file: &FileId, task: TaskId) -> Result<(), Error> {
        if let Some(ledger) = self.ledger() {
            self.stored_meta(user, *file).await?;
            // Noted first, then looked: whoever removes it announces that first, then looks for
            // uses. One of the two sees the other, or the file is gone already.
            let noted = self.note_use(user, *file, task).await;
            let goes = self.is_going(&**ledger, user, *file).await?;
            let there = match self.stored_meta(user, *file).await {
                Err(Error::NotFound) => false,
                other => other.map(|_| true)?,
            };
            if goes || !there {
                self.remove_one(&path(user, *file, &format!("{USES}/{task}"))).await?;
                return Err(Error::NotFound);
            }
            return noted;
        }
        let space = self.space(user).await?;
        let _changing = space.changing.lock().await;
        self.stored_meta(user, *file).await?;
        self.note_use(user, *file, task).await
    }

    async fn note_use(&self, user: &UserId, file: FileId, task: TaskId) -> Result<(), Error> {
        let at = path(user, file, &format!("{USES}/{task}"));
        self.store().put(&at, Vec::new().into()).await.map_err(|e| unavailable(&e))?;
        Ok(())
    }

    /// Removes a file, whoever uses it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has no such file, [`Error::Unavailable`].
    pub async fn delete(&self, user: &UserId, file: &FileId) -> Result<(), Error> {
        if let Some(ledger) = self.ledger() {
            self.stored_meta(user, *file).await?;
            if !self.announce_going(&**ledger, user, *file).await? {
                return Err(Error::NotFound);
            }
            let bytes = self.remove(user, *file).await?;
            return self.announce_went(&**ledger, user, *file, Some(bytes)).await;
        }
        let space = self.space(user).await?;
        let _changing = space.changing.lock().await;
        self.stored_meta(user, *file).await?;
        space.removed(self.remove(user, *file).await?);
        Ok(())
    }

    /// Removes everything of a user, whoever uses it: files that can be seen, and what is left of
    /// others. Answers how many files that were. A second call finds nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some may still be there.
    pub async fn erase(&self, user: &UserId) -> Result<u64, Error> {
        let space = self.uncounted_space(user);
        let changing = space.changing.lock().await;
        let found = self.found(user).await?;
        let files = found.values().filter(|found| found.has_meta).count() as u64;
        for file in found.into_keys() {
            self.remove(user, file).await?;
        }
        let folder = user_folder(user);
        let rest: Vec<_> =
            self.store().list(Some(&folder)).try_collect().await.map_err(|e| unavailable(&e))?;
        for object in rest {
            self.remove_one(&object.location).await?;
        }
        drop(changing);
        self.inner.spaces.forget(user);
        Ok(files)
    }

    /// Removes all there is of a file, what makes it visible first. The caller holds
    /// [`Space::changing`]. Answers the bytes of its content.
    pub(crate) async fn remove(&self, user: &UserId, file: FileId) -> Result<u64, Error> {
        let store = self.store();
        self.remove_one(&path(user, file, META)).await?;
        let rest: Vec<_> = store
            .list(Some(&folder_of(user, file)))
            .try_collect()
            .await
            .map_err(|e| unavailable(&e))?;
        let mut bytes = 0;
        for object in rest {
            self.remove_one(&object.location).await?;
            if object.location.filename() == Some(CONTENT) {
                bytes = object.size;
            }
        }
        Ok(bytes)
    }

    /// Removes one object; that it is gone already is as good.
    pub(crate) async fn remove_one(&self, at: &Path) -> Result<(), Error> {
        match self.store().delete(at).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    pub(crate) async fn space(&self, user: &UserId) -> Result<Arc<Space>, Error> {
        let count = async {
            let mut used = Used::default();
            for found in self.found(user).await?.into_values().filter(|found| found.has_meta) {
                used.bytes += found.bytes;
                used.files += 1;
            }
            Ok(used)
        };
        self.inner.spaces.of(user, count).await
    }

    /// The space of a user in this process, whether it was counted or not.
    pub(crate) fn uncounted_space(&self, user: &UserId) -> Arc<Space> {
        self.inner.spaces.uncounted(user)
    }

    pub(crate) fn limits(&self) -> FileLimits {
        self.inner.limits
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.inner.now_ms)()
    }

    pub(crate) fn ledger(&self) -> Option<&Arc<dyn Ledger>> {
        self.inner.ledger.get()
    }

    pub(crate) fn ledger_slot(&self) -> &OnceLock<Arc<dyn Ledger>> {
        &self.inner.ledger
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        &*self.inner.store
    }

    pub(crate) fn folder(&self) -> Option<&FsPath> {
        self.inner.folder.as_deref()
    }
}

#[async_trait]
impl TaskFiles for Files {
    async fn read(&self, lease: &Lease, file: &FileId) -> Result<(FileMeta, Content), Error> {
        Self::read(self, &lease.user, file, None).await
    }

    async fn keep(&self, lease: &Lease, name: &str, content: Content) -> Result<FileMeta, Error> {
        let new = NewFile { name: name.to_owned(), media_type: None, task: Some(lease.task) };
        Self::keep(self, &lease.user, new, content).await
    }

    async fn keep_output(&self, lease: &Lease, content: Content) -> Result<FileMeta, Error> {
        Self::keep_output(self, &lease.user, lease.task, lease.claim, content).await
    }
}

/// Makes a folder that only its owner may enter; one that is there already is closed. The files
/// in it need no modes of their own.
fn close(folder: &FsPath) -> std::io::Result<()> {
    use std::fs::{DirBuilder, Permissions, set_permissions};
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if folder.metadata()?.permissions().mode() & 0o777 != 0o700 {
        set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    // Characters that turn the direction of text make one name look like another.
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let fits = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.chars().any(|c| c.is_control() || turns(c));
    if fits { Ok(()) } else { Err(Error::Name { max_bytes: NAME_BYTES_MAX }) }
}

/// Nothing in a user id, a file id or a task id means anything in a path.
pub(crate) fn path(user: &UserId, file: FileId, what: &str) -> Path {
    Path::parse(format!("{user}/{file}/{what}")).expect("ids hold only word characters and ~")
}

pub(crate) fn folder_of(user: &UserId, file: FileId) -> Path {
    Path::parse(format!("{user}/{file}")).expect("ids hold only word characters and ~")
}

pub(crate) fn user_folder(user: &UserId) -> Path {
    Path::parse(user.as_str()).expect("ids hold only word characters and ~")
}

pub(crate) fn unavailable(error: &object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { .. } => Error::NotFound,
        // The text of the object store may hold addresses and names of folders; its cause says
        // what is wrong.
        other => Error::Unavailable(root_cause(other)),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
