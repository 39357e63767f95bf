//! The files of this repository: what git knows or would take, or, without git, what is not an
//! output.

use std::path::{Path, PathBuf};

use crate::places;

/// Folders that hold outputs, wherever they are.
const OUTPUTS: &[&str] = &["node_modules", ".next", "target", "dist", ".git", ".tasktonic"];
/// Files that tools write beside the sources.
const WRITTEN: &[&str] = &["next-env.d.ts"];

/// Every source file, relative to the root, sorted.
pub(crate) fn all() -> Vec<PathBuf> {
    under(&[""])
}

/// The source files at or under `paths`, relative to the root, sorted.
pub(crate) fn under(paths: &[&str]) -> Vec<PathBuf> {
    let root = places::root();
    let mut files = Vec::new();
    for path in paths {
        walk(&root, &root.join(path), &mut files);
    }
    files.sort();
    files.dedup();
    files
}

/// The text of a source file, or nothing when it is not text.
pub(crate) fn text(file: &Path) -> Option<String> {
    std::fs::read_to_string(places::root().join(file)).ok()
}

fn walk(root: &Path, path: &Path, files: &mut Vec<PathBuf>) {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if path.is_symlink() {
        return;
    }
    if path.is_dir() {
        if path != root && OUTPUTS.contains(&name.as_str()) {
            return;
        }
        let Ok(entries) = std::fs::read_dir(path) else { return };
        for entry in entries.flatten() {
            walk(root, &entry.path(), files);
        }
        return;
    }
    let written = WRITTEN.contains(&name.as_str())
        || Path::new(&name).extension().is_some_and(|ext| ext == "log" || ext == "tsbuildinfo");
    if path.is_file() && !written {
        files.extend(path.strip_prefix(root).map(Path::to_path_buf));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_found_and_outputs_are_not() {
        let files = all();
        assert!(files.contains(&PathBuf::from("xtask/src/sources.rs")));
        assert!(
            !files
                .iter()
                .any(|file| file.starts_with("target") || file.starts_with("node_modules"))
        );
    }
}
