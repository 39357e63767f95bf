//! A folder of one test.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that is gone when the test is over; one whose test panicked stays, for a look.
#[derive(Debug)]
pub struct Scratch {
    dir: Option<TempDir>,
}

impl Scratch {
    /// A new, empty folder.
    ///
    /// # Panics
    /// When the machine's folder for temporary files cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("tasktonic-")
            .tempdir()
            .expect("the folder for temporary files can be written");
        Self { dir: Some(dir) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// A path in it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(dir) = self.dir.take()
        {
            eprintln!("kept for a look: {}", dir.keep().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_empty_and_gone_afterwards() {
        let scratch = Scratch::new();
        let path = scratch.path().to_path_buf();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        std::fs::write(scratch.join("a"), "b").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
