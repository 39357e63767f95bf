//! The file with the key that signs access tokens: made at the first start, read ever after. Only
//! its owner may read it; one that others may read is refused rather than used.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use tasktonic_auth::SigningKey;

use super::Error;

/// The key's file in the folder of keys.
const NAME: &str = "access.key";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The key in the folder `keys`, made if there is none.
pub(super) fn open(keys: &Path) -> Result<SigningKey, Error> {
    let told = |what: &str, error: std::io::Error| {
        Error::Keys(format!("{what} {} cannot be used: {error}", keys.display()))
    };
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(keys)
        .map_err(|error| told("the folder of keys", error))?;
    let path = keys.join(NAME);
    match fs::read(&path) {
        Ok(bytes) => read(&path, &bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(keys, &path).map_err(|error| told("the folder of keys", error))?;
            // Read again: another process may have been quicker, and there is one key.
            let bytes = fs::read(&path).map_err(|error| told("the signing key in", error))?;
            read(&path, &bytes)
        }
        Err(error) => Err(told("the signing key in", error)),
    }
}

fn read(path: &Path, bytes: &[u8]) -> Result<SigningKey, Error> {
    let mode = fs::metadata(path).map_or(0, |known| known.permissions().mode());
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(Error::Keys(format!(
            "others can read the signing key {path}; run `chmod 600 {path}`, and make a new key if somebody may have read it"
        )));
    }
    SigningKey::from_pkcs8(bytes)
        .map_err(|error| Error::Keys(format!("{error}: {}", path.display())))
}

/// Complete under its name or not there at all, and never over another one.
fn make(keys: &Path, path: &Path) -> std::io::Result<()> {
    // A number of a process names another one in another container over the same folder.
    let unfinished = keys.join(format!("{NAME}.{:032x}", rand::random::<u128>()));
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&unfinished)?;
    let linked = file
        .write_all(&SigningKey::generate().to_pkcs8())
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&unfinished, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    fs::remove_file(&unfinished)?;
    linked?;
    fs::File::open(keys)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_only() {
        let scratch = tempfile::tempdir().unwrap();
        let keys = scratch.path().join("deep/keys");
        let first = open(&keys).unwrap();
        assert_eq!(open(&keys).unwrap().kid(), first.kid());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&keys), mode(&keys.join(NAME))), (FOLDER_MODE, FILE_MODE));
        assert_eq!(fs::read_dir(&keys).unwrap().count(), 1, "nothing unfinished stays");
    }

    #[test]
    fn those_who_make_it_at_once_end_with_one_key() {
        const MAKERS: usize = 8;
        for _ in 0..20 {
            let scratch = tempfile::tempdir().unwrap();
            let together = std::sync::Barrier::new(MAKERS);
            let kids: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
                let make = || {
                    together.wait();
                    open(scratch.path()).unwrap().kid().to_owned()
                };
                let makers: Vec<_> = (0..MAKERS).map(|_| scope.spawn(make)).collect();
                makers.into_iter().map(|maker| maker.join().unwrap()).collect()
            });
            assert_eq!(kids.len(), 1, "{kids:?}");
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        open(scratch.path()).unwrap();
        let path = scratch.path().join(NAME);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = open(scratch.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_broken_key_is_neither_used_nor_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        open(scratch.path()).unwrap();
        let path = scratch.path().join(NAME);
        fs::write(&path, b"broken").unwrap();
        assert!(open(scratch.path()).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"broken");
    }
}
