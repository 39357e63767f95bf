//! Processes whose clock is not that of the machine, by Debian's libfaketime, which answers questions for
//! the time with another. Time that passes is the machine's.

use std::path::PathBuf;

/// A process that begins so far ahead of the machine's clock, in seconds: its environment.
///
/// # Panics
/// Without libfaketime.
#[must_use]
pub fn ahead(seconds: i64) -> Vec<(String, String)> {
    env("FAKETIME", format!("{seconds:+}s"))
}

/// A clock that can be set while the processes that have it run.
#[derive(Debug)]
pub struct OtherClock(PathBuf);

impl OtherClock {
    /// One that is kept in `file`, and is the machine's as yet.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        let clock = Self(file);
        clock.set(0);
        clock
    }

    /// Sets it so many seconds from the clock of the machine.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn set(&self, seconds: i64) {
        // In one piece: who reads half of it takes the time for what it is.
        let whole = self.0.with_extension("new");
        std::fs::write(&whole, format!("{seconds:+}")).expect("a scratch file");
        std::fs::rename(whole, &self.0).expect("a scratch file");
    }

    /// The environment of a process that has it.
    ///
    /// # Panics
    /// Without libfaketime.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        env("FAKETIME_TIMESTAMP_FILE", self.0.to_string_lossy().into_owned())
    }
}

fn env(variable: &str, value: String) -> Vec<(String, String)> {
    [
        ("LD_PRELOAD", library()),
        (variable, value),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn library() -> String {
    let folders = std::fs::read_dir("/usr/lib").expect("there are libraries").flatten();
    let found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let found = found.into_iter().find(|file| file.is_file());
    let found = found.expect("this test needs libfaketime (Debian: apt-get install libfaketime)");
    found.to_string_lossy().into_owned()
}
