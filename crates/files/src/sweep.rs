//! Removing what no task uses any more. It asks which tasks exist; it never knows who answers.

use std::collections::BTreeMap;
use std::path::{Path as FsPath, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use object_store::ObjectMeta;
use tasktonic_core::{TaskId, UserId};

use crate::store::{CONTENT, META, OUTPUT, USES, folder_of, path, unavailable, user_folder};
use crate::{Error, FileId, Files};

const HOUR_MS: i64 = 3_600_000;

/// An upload that no task uses is kept this long, ms.
pub const UPLOAD_KEPT_MS: i64 = 24 * HOUR_MS;
/// A file that a task made and no task uses is kept this long, ms.
pub const TASK_FILE_KEPT_MS: i64 = HOUR_MS;
/// A use by a task that does not exist is kept this long, ms: the task may be on its way.
pub const USE_KEPT_MS: i64 = HOUR_MS;
/// What an upload that broke off has left behind is kept this long, ms.
pub const LEFTOVER_KEPT_MS: i64 = 24 * HOUR_MS;
/// Tasks asked about at once.
const ASKED_MAX: usize = 500;

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uses by tasks that are gone.
    pub uses: u64,
    /// Files that nothing used.
    pub files: u64,
    /// Objects that uploads have left behind.
    pub leftovers: u64,
    /// Bytes freed.
    pub bytes: u64,
}

/// What must hold of a file for it to go.
#[derive(Debug, Clone, Copy)]
enum Still {
    /// No task uses it.
    Unused,
    /// It never became visible.
    Unseen,
}

/// What is found of one file.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) has_meta: bool,
    /// Of its content.
    pub(crate) bytes: u64,
    objects: u64,
    newest_ms: i64,
    uses: Vec<(TaskId, i64)>,
    /// Of which task, under which claim and since when it was to be the output.
    output: Option<(TaskId, u32, i64)>,
}

/// A file that was to be the output of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptOutput {
    /// Whose.
    pub user: UserId,
    /// Of which task.
    pub task: TaskId,
    /// The claim under which it was kept.
    pub claim: u32,
    /// Which file.
    pub file: FileId,
}

impl Files {
    /// Removes uses whose tasks are gone, then files without uses, then what broken uploads have
    /// left. `exists` is asked which tasks there are, some hundred at once, and answers in order;
    /// if it fails nothing more is removed. `is_vain` is asked likewise of files that were to be the
    /// output of a task that exists, whether it can never end with them any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`], and whatever `exists` and `is_vain` fail with.
    pub async fn sweep<F, G>(
        &self,
        now_ms: i64,
        exists: impl Fn(Vec<(UserId, TaskId)>) -> F + Sync,
        is_vain: impl Fn(Vec<KeptOutput>) -> G + Sync,
    ) -> Result<Swept, Error>
    where
        F: Future<Output = Result<Vec<bool>, Error>> + Send,
        G: Future<Output = Result<Vec<bool>, Error>> + Send,
    {
        let mut swept = Swept::default();
        let top = self.store().list_with_delimiter(None).await.map_err(|e| unavailable(&e))?;
        for prefix in top.common_prefixes {
            let Some(user) = prefix.filename().and_then(|name| name.parse().ok()) else { continue };
            self.sweep_user(&user, now_ms, &exists, &is_vain, &mut swept).await?;
        }
        if let Some(folder) = self.folder() {
            let folder = folder.to_owned();
            let removed = tokio::task::spawn_blocking(move || remove_staged(&folder, now_ms));
            swept.leftovers += removed.await.map_err(|e| Error::Unavailable(e.to_string()))?;
        }
        Ok(swept)
    }

    async fn sweep_user<F, G>(
        &self,
        user: &UserId,
        now_ms: i64,
        exists: &(impl Fn(Vec<(UserId, TaskId)>) -> F + Sync),
        is_vain: &(impl Fn(Vec<KeptOutput>) -> G + Sync),
        swept: &mut Swept,
    ) -> Result<(), Error>
    where
        F: Future<Output = Result<Vec<bool>, Error>> + Send,
        G: Future<Output = Result<Vec<bool>, Error>> + Send,
    {
        let mut files = self.found(user).await?;
        let is_old = |at_ms: i64, kept_ms| now_ms.saturating_sub(at_ms) > kept_ms;

        let asked: Vec<(FileId, TaskId)> = files
            .iter()
            .flat_map(|(file, found)| found.uses.iter().map(move |(task, at)| (*file, *task, *at)))
            .filter(|(.., at_ms)| is_old(*at_ms, USE_KEPT_MS))
            .map(|(file, task, _)| (file, task))
            .collect();
        for chunk in asked.chunks(ASKED_MAX) {
            let question = chunk.iter().map(|(_, task)| (user.clone(), *task)).collect();
            let answers = exists(question).await?;
            in_full(chunk.len(), &answers)?;
            for ((file, task), exists) in chunk.iter().zip(answers) {
                if !exists {
                    self.remove_use(user, *file, *task, &mut files, swept).await?;
                }
            }
        }

        // An output that its task did not end with is used by nobody, though the task is there.
        let kept: Vec<KeptOutput> = files
            .iter()
            .filter_map(|(file, found)| {
                let (task, claim, at_ms) = found.output?;
                let is_used = found.uses.iter().any(|(known, _)| *known == task);
                let asked = is_used && is_old(at_ms, TASK_FILE_KEPT_MS);
                asked.then(|| KeptOutput { user: user.clone(), task, claim, file: *file })
            })
            .collect();
        for chunk in kept.chunks(ASKED_MAX) {
            let answers = is_vain(chunk.to_vec()).await?;
            in_full(chunk.len(), &answers)?;
            for (KeptOutput { task, file, .. }, is_vain) in chunk.iter().zip(answers) {
                if is_vain {
                    self.remove_use(user, *file, *task, &mut files, swept).await?;
                }
            }
        }

        for (file, found) in files {
            if !found.has_meta {
                if is_old(found.newest_ms, LEFTOVER_KEPT_MS) {
                    // It may have become visible since it was listed.
                    let removed = self.remove_if(user, file, Still::Unseen);
                    let Some(bytes) = removed.await? else { continue };
                    swept.bytes += bytes;
                    swept.leftovers += found.objects;
                }
                continue;
            }
            if !found.uses.is_empty() {
                continue;
            }
            let meta = match self.stored_meta(user, file).await {
                Ok(meta) => meta,
                Err(Error::NotFound) => continue,
                Err(error) => return Err(error),
            };
            let kept_ms = if meta.task.is_some() { TASK_FILE_KEPT_MS } else { UPLOAD_KEPT_MS };
            if !is_old(meta.created_ms, kept_ms) {
                continue;
            }
            // Somebody may have attached it since it was listed.
            let removed = self.remove_if(user, file, Still::Unused);
            if let Some(bytes) = removed.await? {
                swept.files += 1;
                swept.bytes += bytes;
            }
        }
        Ok(())
    }

    async fn remove_use(
        &self,
        user: &UserId,
        file: FileId,
        task: TaskId,
        files: &mut BTreeMap<FileId, Found>,
        swept: &mut Swept,
    ) -> Result<(), Error> {
        self.remove_one(&path(user, file, &format!("{USES}/{task}"))).await?;
        swept.uses += 1;
        let found = files.get_mut(&file).expect("it was listed");
        found.uses.retain(|(known, _)| *known != task);
        Ok(())
    }

    /// Removes a file if `still` holds when nobody can change it. Answers its bytes.
    async fn remove_if(
        &self,
        user: &UserId,
        file: FileId,
        still: Still,
    ) -> Result<Option<u64>, Error> {
        if let (Some(ledger), Still::Unused) = (self.ledger(), still) {
            if !self.announce_going(&**ledger, user, file).await? {
                return Ok(None);
            }
            // Announced first, then looked: see `attach`.
            if !self.is_unused(user, file).await? {
                self.announce_went(&**ledger, user, file, None).await?;
                return Ok(None);
            }
            let bytes = self.remove(user, file).await?;
            self.announce_went(&**ledger, user, file, Some(bytes)).await?;
            return Ok(Some(bytes));
        }
        if self.ledger().is_some() {
            return self.remove_unseen(user, file).await;
        }
        let space = self.space(user).await?;
        let _changing = space.changing.lock().await;
        let holds = match still {
            Still::Unused => self.is_unused(user, file).await?,
            Still::Unseen => match self.stored_meta(user, file).await {
                Err(Error::NotFound) => true,
                other => other.map(|_| false)?,
            },
        };
        if !holds {
            return Ok(None);
        }
        let bytes = self.remove(user, file).await?;
        // What never became visible was given back when its upload ended.
        if matches!(still, Still::Unused) {
            space.removed(bytes);
        }
        Ok(Some(bytes))
    }

    /// Removes what an upload of any process has left behind. It is a day old: nobody is at it.
    async fn remove_unseen(&self, user: &UserId, file: FileId) -> Result<Option<u64>, Error> {
        match self.stored_meta(user, file).await {
            Err(Error::NotFound) => self.remove(user, file).await.map(Some),
            other => other.map(|_| None),
        }
    }

    async fn is_unused(&self, user: &UserId, file: FileId) -> Result<bool, Error> {
        let uses = folder_of(user, file).join(USES);
        let found = self.store().list(Some(&uses)).try_next().await.map_err(|e| unavailable(&e))?;
        Ok(found.is_none())
    }

    pub(crate) async fn found(&self, user: &UserId) -> Result<BTreeMap<FileId, Found>, Error> {
        let mut files = BTreeMap::<FileId, Found>::new();
        let prefix = user_folder(user);
        let mut objects = self.store().list(Some(&prefix));
        while let Some(object) = objects.try_next().await.map_err(|e| unavailable(&e))? {
            note(&mut files, &object);
        }
        Ok(files)
    }
}

/// Whether a question was answered for each it was about.
fn in_full(asked: usize, answers: &[bool]) -> Result<(), Error> {
    if answers.len() == asked {
        return Ok(());
    }
    Err(Error::Unavailable("the question about tasks was not answered in full".into()))
}

/// Sorts one object to its file; what is not ours is left alone.
fn note(files: &mut BTreeMap<FileId, Found>, object: &ObjectMeta) {
    let parts: Vec<_> = object.location.parts().collect();
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    let [_, file, rest @ ..] = &parts[..] else { return };
    let Ok(file) = file.parse::<FileId>() else { return };
    let at_ms = object.last_modified.timestamp_millis();
    let found = files.entry(file).or_default();
    match rest {
        [CONTENT] => found.bytes = object.size,
        [META] => found.has_meta = true,
        [OUTPUT, of] => {
            let of = of.split_once('.').map(|(task, claim)| (task.parse(), claim.parse()));
            let Some((Ok(task), Ok(claim))) = of else { return };
            found.output = Some((task, claim, at_ms));
        }
        [USES, task] => match task.parse() {
            Ok(task) => found.uses.push((task, at_ms)),
            Err(_) => return,
        },
        _ => return,
    }
    found.objects += 1;
    found.newest_ms = found.newest_ms.max(at_ms);
}

/// Files that a killed process was writing: the object store hides them (`content#1`), so they
/// are looked for in the folder itself. Folders that are empty afterwards go too.
fn remove_staged(root: &FsPath, now_ms: i64) -> u64 {
    let now = UNIX_EPOCH + Duration::from_millis(now_ms.max(0).unsigned_abs());
    let mut removed = 0;
    let mut folders = vec![root.to_owned()];
    let mut seen: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().contains('#')
                && entry.metadata().and_then(|m| m.modified()).is_ok_and(|at| is_stale(at, now))
                && std::fs::remove_file(entry.path()).is_ok()
            {
                removed += 1;
                seen.extend([folder.clone()]);
            }
        }
    }
    for folder in seen {
        // Fails where something is in it, which is what we want.
        let inside = folder.ancestors().take_while(|up| *up != root);
        let _ = inside.map(std::fs::remove_dir).take_while(Result::is_ok).count();
    }
    removed
}

fn is_stale(at: SystemTime, now: SystemTime) -> bool {
    let kept = Duration::from_millis(LEFTOVER_KEPT_MS.unsigned_abs());
    now.duration_since(at).is_ok_and(|age| age > kept)
}
