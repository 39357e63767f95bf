//! Several processes over one place for files: a small record per user, changed by
//! compare-and-set, says what the user's files take and which are on their way in or out. It is
//! found again from the files themselves whenever it may be wrong, so that nothing that a process
//! left undone narrows or widens a limit for good.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tasktonic_core::UserId;

use crate::{Error, FileId, FileLimits, Files};

/// What was announced to come in and is not heard of for this long is not waited for, ms.
const COMING_MS: i64 = 3_600_000;
/// What was announced to go and is not heard of for this long is counted anew, ms.
const GOING_MS: i64 = 600_000;
/// Files of one user that may be on their way in at once.
const COMING_MAX: usize = 256;
/// Files of one user that may be on their way out at once.
const GOING_MAX: usize = 256;
/// Bytes announced ahead of what has come.
const AHEAD_BYTES: u64 = 16 * 1024 * 1024;
/// And at most this share of what is left, so that a file that is small does not keep others out.
const AHEAD_SHARE: u64 = 8;
/// Times a change is tried against those of other processes.
const CHANGES_MAX: u32 = 64;

/// A place for one record per user that all processes share which keep files in one place.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// The user's record and its version.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn read(&self, user: &UserId) -> Result<Option<(u64, String)>, Error>;

    /// Writes the user's record if its version is still the one that was `seen`, or if there is
    /// still none; whether it did.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn write(&self, user: &UserId, seen: Option<u64>, record: String) -> Result<bool, Error>;
}

/// What is known of one user's files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Book {
    /// Bytes of the files that can be seen and are not on their way in.
    bytes: u64,
    /// Their number.
    files: u64,
    /// Somebody found it contradicting what it had done.
    #[serde(default)]
    recount: bool,
    /// Files on their way in.
    #[serde(default)]
    coming: BTreeMap<String, Coming>,
    /// Files on their way out, and until when that is believed, ms.
    #[serde(default)]
    going: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Coming {
    /// Bytes it may take.
    bytes: u64,
    /// Until when it is believed, ms.
    until_ms: i64,
}

impl Book {
    fn may_be_wrong(&self, now_ms: i64) -> bool {
        let late = self.coming.values().any(|coming| coming.until_ms <= now_ms)
            || self.going.values().any(|until_ms| *until_ms <= now_ms);
        self.recount || late
    }

    fn left(&self, limits: FileLimits) -> u64 {
        let coming: u64 = self.coming.values().map(|coming| coming.bytes).sum();
        limits.user_bytes_max.saturating_sub(self.bytes.saturating_add(coming))
    }

    /// Announces a file that comes in.
    fn begin(&mut self, id: &str, limits: FileLimits, now_ms: i64) -> Result<(), Error> {
        let files = self.files + self.coming.len() as u64;
        if files >= limits.user_files_max {
            return Err(Error::TooMany { limit_files: limits.user_files_max });
        }
        if self.left(limits) == 0 {
            return Err(Error::Quota { limit_bytes: limits.user_bytes_max });
        }
        if self.coming.len() >= COMING_MAX {
            let text = format!("{COMING_MAX} files come in at once; try again in a moment");
            return Err(Error::Unavailable(text));
        }
        self.coming.insert(id.to_owned(), Coming { bytes: 0, until_ms: now_ms + COMING_MS });
        Ok(())
    }

    /// Makes room for `size` bytes of it; answers how many it may take.
    fn grow(&mut self, id: &str, size: u64, limits: FileLimits, now_ms: i64) -> Result<u64, Error> {
        self.coming.remove(id);
        let left = self.left(limits);
        if size > left {
            return Err(Error::Quota { limit_bytes: limits.user_bytes_max });
        }
        let bytes = size + AHEAD_BYTES.min((left - size) / AHEAD_SHARE);
        self.coming.insert(id.to_owned(), Coming { bytes, until_ms: now_ms + COMING_MS });
        Ok(bytes)
    }

    fn came(&mut self, id: &str, size: u64) {
        match self.coming.remove(id) {
            Some(_) => {
                self.bytes += size;
                self.files += 1;
            }
            // Whoever counted anew may have counted it already.
            None => self.recount = true,
        }
    }

    fn went(&mut self, id: &str, bytes: u64) {
        match self.going.remove(id) {
            Some(_) => {
                self.bytes = self.bytes.saturating_sub(bytes);
                self.files = self.files.saturating_sub(1);
            }
            None => self.recount = true,
        }
    }
}

impl Files {
    /// From now on counts together with all other processes that keep files in the same place and
    /// share this ledger. Without one, a process believes that it is alone. Call it before any
    /// file is kept; a second ledger is not taken.
    pub fn share(&self, ledger: std::sync::Arc<dyn Ledger>) {
        // The first stays: what is on its way in is announced there.
        let _ = self.ledger_slot().set(ledger);
    }

    async fn change<T>(
        &self,
        ledger: &dyn Ledger,
        user: &UserId,
        mut change: impl FnMut(&mut Book, i64) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let space = self.uncounted_space(user);
        let _alone_here = space.booking.lock().await;
        for turn in 0..CHANGES_MAX {
            let now_ms = self.now_ms();
            let found = ledger.read(user).await?;
            let seen = found.as_ref().map(|(version, _)| *version);
            // A record that cannot be read is as good as none: all of it can be counted.
            let known: Option<Book> = found.and_then(|(_, text)| serde_json::from_str(&text).ok());
            let mut book = match &known {
                Some(book) if !book.may_be_wrong(now_ms) => book.clone(),
                _ => self.recount(user, known.clone().unwrap_or_default(), now_ms).await?,
            };
            let outcome = change(&mut book, now_ms)?;
            if known.as_ref() == Some(&book) {
                return Ok(outcome);
            }
            let text = serde_json::to_string(&book).expect("numbers and strings serialise");
            if ledger.write(user, seen, text).await? {
                return Ok(outcome);
            }
            let pause = rand::random::<u64>() % (5 << turn.min(5));
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        }
        let text = "too many changes of this user's files at once; try again in a moment";
        Err(Error::Unavailable(text.into()))
    }

    /// The book as the files themselves say. It is written only if nobody has changed it since it
    /// was read, and a file is announced before anything of it can be seen or is removed: so what
    /// is listed meanwhile is either counted here or still announced.
    async fn recount(&self, user: &UserId, old: Book, now_ms: i64) -> Result<Book, Error> {
        let found = self.found(user).await?;
        let seen: BTreeMap<String, u64> = found
            .into_iter()
            .filter(|(_, found)| found.has_meta)
            .map(|(id, found)| (id.to_string(), found.bytes))
            .collect();
        let Book { mut coming, mut going, .. } = old;
        coming.retain(|id, coming| coming.until_ms > now_ms && !seen.contains_key(id));
        going.retain(|id, until_ms| *until_ms > now_ms && seen.contains_key(id));
        let (bytes, files) = (seen.values().sum(), seen.len() as u64);
        Ok(Book { bytes, files, recount: false, coming, going })
    }

    pub(crate) async fn announce_coming(
        &self,
        ledger: &dyn Ledger,
        user: &UserId,
        file: FileId,
    ) -> Result<(), Error> {
        let (id, limits) = (file.to_string(), self.limits());
        self.change(ledger, user, |book, now_ms| book.begin(&id, limits, now_ms)).await
    }

    /// Makes room for `size` bytes of a file that comes in; answers how many it may take.
    pub(crate) async fn announce_size(
        &self,
        ledger: &dyn Ledger,
        user: &UserId,
        file: FileId,
        size: u64,
    ) -> Result<u64, Error> {
        let (id, limits) = (file.to_string(), self.limits());
        self.change(ledger, user, |book, now_ms| book.grow(&id, size, limits, now_ms)).await
    }

    /// The file can be seen, or (`None`) will never be.
    pub(crate) async fn announce_came(
        &self,
        ledger: &dyn Ledger,
        user: &UserId,
        file: FileId,
        size: Option<u64>,
    ) -> Result<(), Error> {
        let id = file.to_string();
        self.change(ledger, user, |book, _| {
            match size {
                Some(size) => book.came(&id, size),
                None => drop(book.coming.remove(&id)),
            }
            Ok(())
        })
        .await
    }

    /// Announces that a file goes; false if somebody else has.
    pub(crate) async fn announce_going(
        &self,
        ledger: &dyn Ledger,
        user: &UserId,
        file: FileId,
    ) -> Result<bool, Error> {
        let id = file.to_string();
        self.change(ledger, user, |book, now_ms| {
            if book.going.contains_key(&id) {
                return Ok(false);
            }
            if book.going.len() >= GOING_MAX {
                let text = format!("{GOING_MAX} files go at once; try again in a moment");
                return Err(Error::Unavailable(text));
            }
            book.going.insert(id.clone(), now_ms + GOING_MS);
            Ok(true)
        })
        .await
    }

    /// The file with so many bytes is gone, or (`None`) stays after all.
    pub(crate) async fn announce_went(
        &self,
        ledger: &dyn Ledger,
        user: &UserId,
        file: FileId,
        bytes: Option<u64>,
    ) -> Result<(), Error> {
        let id = file.to_string();
        self.change(ledger, user, |book, _| {
            match bytes {
                Some(bytes) => book.went(&id, bytes),
                None => drop(book.going.remove(&id)),
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn is_going(
        &self,
        ledger: &dyn Ledger,
        user: &UserId,
        file: FileId,
    ) -> Result<bool, Error> {
        let id = file.to_string();
        self.change(ledger, user, |book, _| Ok(book.going.contains_key(&id))).await
    }
}
