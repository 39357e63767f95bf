//! `--store URL`: which store, and where.

use std::path::PathBuf;
use std::str::FromStr;

/// A store somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// SQLite in this process, in this folder.
    Embedded(PathBuf),
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("embedded", folder)) if !folder.is_empty() => Ok(Self::Embedded(folder.into())),
            _ => Err("a store is named `embedded:FOLDER`".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_by_its_scheme() {
        assert_eq!("embedded:a/b".parse(), Ok(StoreUrl::Embedded("a/b".into())));
        for wrong in ["", "embedded", "embedded:", "sqlite:a"] {
            assert!(wrong.parse::<StoreUrl>().is_err(), "{wrong}");
        }
    }
}
