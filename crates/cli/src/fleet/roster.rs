//! Who belongs to this fleet: kept in a file, so that the next start finds what a crash of this
//! one and of its caretaker left behind; and told to the caretaker, who ends all of them when we
//! cannot.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::processes::{self, Group, Realm};
use crate::screen;

/// How long a fleet that is ending may hold up the next one.
const LAST_ONE_WAIT: Duration = Duration::from_secs(45);
/// How long processes without a parent may take to end; those that wait for work of ours longest.
const ORPHANS_WAIT: Duration = Duration::from_secs(15);
/// How long what keeps the data may take: it writes it down.
const KEEPERS_WAIT: Duration = Duration::from_secs(20);

/// One process of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// `server-1`.
    pub(crate) name: String,
    /// Where it listens, if it does.
    pub(crate) port: Option<u16>,
    /// The process and what it has started.
    pub(crate) group: Group,
    /// How it ends.
    pub(crate) end: End,
}

/// How a member ends when we are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// By itself: it notices.
    Itself,
    /// When it is asked.
    Asked,
    /// When it is asked, after all others: it keeps their data.
    Last,
}

/// Ends `members` in order; what takes too long is killed. Blocks.
pub(crate) fn end_all(members: &[Member], notice: bool) {
    let groups = |last: bool| -> Vec<&Group> {
        members.iter().filter(|m| (m.end == End::Last) == last).map(|m| &m.group).collect()
    };
    for member in members {
        if member.end == End::Asked || (member.end == End::Itself && !notice) {
            member.group.signal(Signal::SIGTERM);
        }
    }
    processes::wait_then_kill(&groups(false), ORPHANS_WAIT);
    for keeper in groups(true) {
        keeper.signal(Signal::SIGTERM);
    }
    processes::wait_then_kill(&groups(true), KEEPERS_WAIT);
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// Where the numbers below name these processes; elsewhere they name others.
    #[serde(default)]
    realm: Realm,
    /// The one who started them.
    up: Option<Group>,
    members: Vec<Member>,
}

/// The fleet's list, while we have the folder to ourselves.
pub(crate) struct Roster {
    file: PathBuf,
    realm: Realm,
    up: Option<Group>,
    members: Mutex<Vec<Member>>,
    caretaker: Mutex<Option<ChildStdin>>,
    _lock: Flock<File>,
}

impl Roster {
    /// Takes `folder` for this fleet: waits for one that is ending, ends what one left behind, and
    /// starts the caretaker.
    pub(crate) async fn open(folder: &Path, log: File) -> Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("making {}", folder.display()))?;
        let file = folder.join("fleet.json");
        let lock = lock(&folder.join("lock"), &file).await?;
        let realm = Realm::ours();
        let left = read(&file, &realm).members;
        if left.iter().any(|member| member.group.lives()) {
            screen::note("ending what the last start left behind");
            tokio::task::spawn_blocking(move || end_all(&left, false)).await?;
        }
        let roster = Self {
            caretaker: Mutex::new(Some(start_caretaker(&lock, log)?)),
            file,
            realm,
            up: Group::of(std::process::id()),
            members: Mutex::default(),
            _lock: lock,
        };
        roster.tell(&[])?;
        Ok(roster)
    }

    /// Puts `member` in the place of the one of its name.
    pub(crate) fn put(&self, member: Member) -> Result<()> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|other| other.name != member.name);
        members.push(member);
        self.tell(&members)
    }

    /// Forgets the one of this name.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|other| other.name != name);
        self.tell(&members)
    }

    /// Those who belong to it now.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills everybody where they stand.
    pub(crate) fn kill_all(&self) {
        for member in self.members() {
            member.group.signal(Signal::SIGKILL);
        }
    }

    /// Writes the list down and tells it to the caretaker. One at a time: the list is locked.
    fn tell(&self, members: &[Member]) -> Result<()> {
        let kept =
            Kept { realm: self.realm.clone(), up: self.up.clone(), members: members.to_vec() };
        let text = serde_json::to_string(&kept)?;
        // After a crash of the machine it says nothing that would still be true.
        replace(&self.file, &text, false)?;
        let mut caretaker = self.caretaker.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = match caretaker.as_mut() {
            Some(pipe) => writeln!(pipe, "{text}").is_err(),
            None => false,
        };
        if gone {
            // Somebody killed it. The file is still there for the next start.
            tracing::warn!("the caretaker is gone; what a crash leaves is ended at the next start");
            *caretaker = None;
        }
        Ok(())
    }
}

/// A file for its owner alone. After a crash there is the old one or the new one, whole.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    replace(path, text, true)
}

fn replace(path: &Path, text: &str, sync: bool) -> Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let written = || {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)?;
        file.write_all(text.as_bytes())?;
        if sync {
            file.sync_all()?;
        }
        std::fs::rename(&next, path)
    };
    written().with_context(|| format!("writing {}", path.display()))
}

/// What the file says, if its numbers count in `realm`: those of another life of the machine
/// belong to others by now.
fn read(file: &Path, realm: &Realm) -> Kept {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let kept: Kept = serde_json::from_str(&text).unwrap_or_default();
    if kept.realm == *realm { kept } else { Kept::default() }
}

/// The lock of the folder. Whoever holds it after a crash is the caretaker, who ends soon.
async fn lock(path: &Path, kept: &Path) -> Result<Flock<File>> {
    let until = Instant::now() + LAST_ONE_WAIT;
    let mut told = false;
    loop {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("opening {}", path.display()))?;
        if let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            return Ok(lock);
        }
        let up = read(kept, &Realm::ours()).up.filter(Group::leads);
        if let Some(up) = up {
            bail!(
                "this folder is in use by another process, {}: end that one first, or choose \
                 another folder with --data",
                up.pid
            );
        }
        if Instant::now() > until {
            bail!("{} is held by a process that does not end", path.display());
        }
        if !told {
            screen::note("waiting for the last one to end");
            told = true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The caretaker holds our lock as its standard output, and lives until its input closes.
fn start_caretaker(lock: &File, log: File) -> Result<ChildStdin> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut child = Command::new(program)
        .arg("caretaker")
        .stdin(Stdio::piped())
        .stdout(lock.try_clone()?)
        .stderr(log)
        .env_clear()
        .process_group(0)
        .spawn()
        .context("starting the caretaker")?;
    let pipe = child.stdin.take().context("the caretaker has no input")?;
    // Collected when it ends, which it may do only after us.
    std::thread::spawn(move || child.wait());
    Ok(pipe)
}

/// `tasktonic caretaker`: remembers the newest list on standard input, and ends all on it when the
/// input closes.
pub(crate) fn caretaker() -> Result<u8> {
    let mut members = Vec::new();
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { break };
        if let Ok(kept) = serde_json::from_str::<Kept>(&line) {
            members = kept.members;
        }
    }
    end_all(&members, true);
    Ok(crate::DONE)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tasktonic_testkit::Scratch;

    use super::*;

    #[test]
    fn numbers_of_another_life_of_the_machine_are_nobodys() {
        let folder = Scratch::new();
        let file = folder.join("fleet.json");
        // A process that lives: only the rest of the file can say that it is not meant.
        let group = Group::of(std::process::id()).unwrap();
        let member =
            Member { name: "worker-1".into(), port: None, group: group.clone(), end: End::Asked };
        let ours = Realm::ours();
        let kept = |realm| Kept { realm, up: Some(group.clone()), members: vec![member.clone()] };
        let known = |kept: &serde_json::Value| {
            write_private(&file, &kept.to_string()).unwrap();
            let read = read(&file, &ours);
            (read.up.is_some(), read.members.len())
        };
        let mut same = serde_json::to_value(kept(ours.clone())).unwrap();
        assert_eq!(known(&same), (true, 1));
        for (name, other) in [
            ("boot", serde_json::json!("11111111-2222-3333-4444-555555555555")),
            ("numbers", serde_json::json!("pid:[1]")),
        ] {
            let mut foreign = same.clone();
            foreign["realm"][name] = other;
            assert_eq!(known(&foreign), (false, 0), "another {name}");
        }
        same.as_object_mut().unwrap().remove("realm");
        assert_eq!(known(&same), (false, 0), "one that does not say where");
    }

    #[test]
    fn a_private_file_is_replaced_whole() {
        let folder = Scratch::new();
        let file = folder.join("nodes.conf");
        write_private(&file, "old").unwrap();
        // Who has the old one open reads all of it to the end, and no part of the new one.
        let old = File::open(&file).unwrap();
        write_private(&file, "new").unwrap();
        assert_eq!(std::io::read_to_string(old).unwrap(), "old");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing unfinished stays"
        );
    }
}
