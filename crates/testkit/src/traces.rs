//! Whether anything is left that holds one of some texts: in the files of a folder, in what a server
//! of Redis has. Every byte of it is looked at.

use std::io::ErrorKind;
use std::path::Path;

use crate::redis::{Redis, Reply};

/// Keys named by one `SCAN`.
const SCANNED: &str = "1000";
/// Begins of texts, two bytes each.
const BEGINS: usize = 1 << 16;

/// A place that holds one of the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// A file, or the name of a key.
    pub place: String,
    /// Whether it is in the name of the place, and not in what it has.
    pub in_name: bool,
    /// The first of the texts that it holds.
    pub text: String,
}

/// Texts that are looked for, all of them in one pass.
#[derive(Debug)]
pub struct Texts {
    texts: Vec<String>,
    /// By their first two bytes, places of the texts that begin with these.
    begins: Vec<Vec<usize>>,
}

impl Texts {
    /// Looks for these.
    ///
    /// # Panics
    /// Of texts of less than two bytes: they are everywhere.
    #[must_use]
    pub fn new(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        let mut begins = vec![Vec::new(); BEGINS];
        for (at, text) in texts.iter().enumerate() {
            assert!(text.len() >= 2, "{text:?} is everywhere");
            begins[begin(text.as_bytes())].push(at);
        }
        Self { texts, begins }
    }

    /// The first of them in `bytes`.
    #[must_use]
    pub fn first_in(&self, bytes: &[u8]) -> Option<&str> {
        let here = |(at, two): (usize, &[u8])| {
            let begun = self.begins[begin(two)].iter().map(|of| self.texts[*of].as_str());
            begun.into_iter().find(|text| bytes[at..].starts_with(text.as_bytes()))
        };
        bytes.windows(2).enumerate().find_map(here)
    }

    fn look(&self, place: &str, value: &[u8], found: &mut Vec<Found>) {
        for (in_name, bytes) in [(true, place.as_bytes()), (false, value)] {
            if let Some(text) = self.first_in(bytes) {
                found.push(Found { place: place.to_owned(), in_name, text: text.to_owned() });
            }
        }
    }

    /// Files under `folder`, at any depth, that hold one: paths as seen from it.
    ///
    /// # Panics
    /// When a file or folder cannot be read.
    #[must_use]
    pub fn in_files(&self, folder: &Path) -> Vec<Found> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(&next).expect("the folder can be read") {
                let path = entry.expect("the folder can be read").path();
                if path.is_dir() {
                    // Its name is part of the names of what is in it, but it may be empty.
                    folders.push(path.clone());
                }
                let content = match std::fs::read(&path) {
                    _ if path.is_dir() => Vec::new(),
                    // Gone since the folder was read: whoever writes there has removed it.
                    Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                    content => content.expect("the file can be read"),
                };
                let place = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy();
                self.look(&place, &content, &mut found);
            }
        }
        found
    }

    /// Keys of a server that hold one: every key it has is read whole, whatever it is of. A replica
    /// tells what it has itself.
    ///
    /// # Panics
    /// When the server does not answer, or has a key of a type that nobody here knows.
    #[must_use]
    pub fn in_keys(&self, redis: &Redis) -> Vec<Found> {
        let mut conversation = redis.conversation();
        let mut ask = |words: &[&[u8]]| conversation.ask(words).expect("the server answers");
        // A refusal only says that it is in no cluster.
        ask(&[b"READONLY"]);
        let mut found = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let page = ask(&[b"SCAN", cursor.as_bytes(), b"COUNT", SCANNED.as_bytes()]);
            let [next, keys] = page.items() else { panic!("no page of keys: {page:?}") };
            for key in keys.items() {
                let Reply::Bytes(key) = key else { panic!("no name of a key: {key:?}") };
                let sort = ask(&[b"TYPE", key]).text();
                let value = match sort.as_str() {
                    "string" => ask(&[b"GET", key]),
                    "list" => ask(&[b"LRANGE", key, b"0", b"-1"]),
                    "set" => ask(&[b"SMEMBERS", key]),
                    "zset" => ask(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
                    "hash" => ask(&[b"HGETALL", key]),
                    "stream" => ask(&[b"XRANGE", key, b"-", b"+"]),
                    // Its time came between the two questions.
                    "none" => Reply::Nothing,
                    _ => panic!("{} is a {sort}", String::from_utf8_lossy(key)),
                };
                assert!(!value.is_error(), "{value:?}");
                let mut bytes = Vec::new();
                put(&value, &mut bytes);
                self.look(&String::from_utf8_lossy(key), &bytes, &mut found);
            }
            cursor = next.text();
            if cursor == "0" {
                return found;
            }
        }
    }
}

fn begin(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// Everything that an answer has, one after the other.
fn put(reply: &Reply, bytes: &mut Vec<u8>) {
    match reply {
        Reply::Bytes(one) => bytes.extend_from_slice(one),
        Reply::List(items) => items.iter().for_each(|item| put(item, bytes)),
        other => bytes.extend_from_slice(other.text().as_bytes()),
    }
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;
    use crate::redis::Options;

    fn places(found: &[Found]) -> Vec<(&str, bool, &str)> {
        let mut places: Vec<_> =
            found.iter().map(|of| (of.place.as_str(), of.in_name, of.text.as_str())).collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn a_text_is_found_at_the_very_end_and_in_names_of_empty_folders() {
        let folder = Scratch::new();
        std::fs::create_dir_all(folder.join("a/lost-b")).unwrap();
        std::fs::write(folder.join("a/file"), b"\xff\x00 los lost").unwrap();
        std::fs::write(folder.join("other"), b"los t").unwrap();
        let found = Texts::new(["found", "lost"]).in_files(folder.path());
        assert_eq!(places(&found), [("a/file", false, "lost"), ("a/lost-b", true, "lost")]);
    }

    #[test]
    fn every_sort_of_key_is_read_whole() {
        let redis = Redis::start(Options::default());
        for words in [
            &["SET", "text", "a lost one"][..],
            &["RPUSH", "list", "a", "lost"],
            &["SADD", "set", "a", "lost"],
            &["ZADD", "ranks", "1", "a", "2", "lost"],
            &["HSET", "hash", "a", "b", "lost", "c"],
            &["XADD", "stream", "*", "a", "lost"],
            &["SET", "of-lost", "b"],
            &["SET", "other", "los t"],
        ] {
            redis.cli(words);
        }
        let found = Texts::new(["lost"]).in_keys(&redis);
        let here = |place| (place, place == "of-lost", "lost");
        let all = ["hash", "list", "of-lost", "ranks", "set", "stream", "text"];
        assert_eq!(places(&found), all.map(here));
    }
}
