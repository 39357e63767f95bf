//! What a search finds: the one rule by which words of people are compared with what a task is
//! called. Never knows where tasks are kept, nor in which form.
//!
//! **The rule.** Both sides are folded: each character by itself to its lower case, as Unicode has
//! it, whatever the language; accents stay. A search is split at white space into words, and finds a
//! task of which each word is found: at the beginning of its id, or at the beginning of a word of its
//! kind, its queue, one of its tags, or, if it has failed, its error. A word begins where no letter and
//! no digit stands before it, so that `re` finds `images.resize` and `size` does not.
//!
//! A store may keep beside a task what it is called, its *entry*, and pass by all whose entry says
//! that they are not meant: [`Sieve`]. What goes through may still not be meant; the record decides.

use std::borrow::Cow;

/// Longest search, in bytes.
pub const SEARCH_BYTES_MAX: usize = 512;
/// Most words of a search.
pub const SEARCH_WORDS_MAX: usize = 8;
/// Characters of an error's message that a search looks at.
pub const ERROR_CHARS: usize = 96;
/// Longest entry, in bytes; of a task that is called more it keeps the beginning.
pub const ENTRY_BYTES_MAX: usize = 512;
/// What stands between the names of an entry. A tag may hold one in an older store: then more goes
/// through.
const BETWEEN: char = '\n';

/// A text as it is compared.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    text.chars().flat_map(char::to_lowercase).collect::<String>().into()
}

/// Whether `word` stands at the beginning of a word of `text`; both are folded.
#[must_use]
fn begins_a_word(text: &str, word: &str) -> bool {
    let is_in_word = |c: char| c.is_alphanumeric();
    // What is no letter and no digit begins anywhere.
    let anywhere = !word.starts_with(is_in_word);
    let mut from = 0;
    while let Some(at) = text[from..].find(word) {
        let at = from + at;
        if anywhere || !text[..at].ends_with(is_in_word) {
            return true;
        }
        from = at + text[at..].chars().next().map_or(1, char::len_utf8);
    }
    false
}

/// Why a search is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// It is too long.
    #[error("a search has at most {SEARCH_BYTES_MAX} bytes; leave out some of it")]
    TooLong,
    /// It has too many words.
    #[error("a search has at most {SEARCH_WORDS_MAX} words; leave out some of them")]
    TooManyWords,
}

/// What a person is looking for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Folded, at least one.
    words: Vec<Box<str>>,
}

impl Search {
    /// The search of these words; none if there are none.
    ///
    /// # Errors
    /// [`SearchError`], which says what to leave out.
    pub fn of(text: &str) -> Result<Option<Self>, SearchError> {
        if text.len() > SEARCH_BYTES_MAX {
            return Err(SearchError::TooLong);
        }
        let words: Vec<Box<str>> = text.split_whitespace().map(|word| fold(word).into()).collect();
        if words.len() > SEARCH_WORDS_MAX {
            return Err(SearchError::TooManyWords);
        }
        Ok((!words.is_empty()).then_some(Self { words }))
    }

    /// Whether it finds a task with this id that is called by these folded texts.
    #[must_use]
    pub fn finds(&self, id: &str, texts: &[&str]) -> bool {
        self.words.iter().all(|word| is_found(word, id, texts))
    }
}

fn is_found(word: &str, id: &str, texts: &[&str]) -> bool {
    let of_id = id.as_bytes().get(..word.len());
    of_id.is_some_and(|of_id| of_id.eq_ignore_ascii_case(word.as_bytes()))
        || texts.iter().any(|text| begins_a_word(text, word))
}

/// What an error is called: its code and the beginning of its message, folded.
#[must_use]
pub fn error_text(code: &str, message: &str) -> String {
    let end = message.char_indices().nth(ERROR_CHARS).map_or(message.len(), |(at, _)| at);
    format!("{}{BETWEEN}{}", fold(code), fold(&message[..end]))
}

/// The entry of a task: what it is called, folded, a line each: its queue, its kind if that is
/// another word, its tags. An empty last line says that there is more.
#[must_use]
pub fn entry(queue: &str, kind: &str, tags: &[impl AsRef<str>]) -> String {
    let mut entry = fold(queue).into_owned();
    let names = (kind != queue).then_some(kind).into_iter();
    for name in names.chain(tags.iter().map(AsRef::as_ref)) {
        let name = fold(name);
        if entry.len() + name.len() + 2 > ENTRY_BYTES_MAX {
            entry.push(BETWEEN);
            break;
        }
        entry.push(BETWEEN);
        entry.push_str(&name);
    }
    entry
}

/// Passes by tasks that are not meant, by their entries. It never holds back one that is.
#[derive(Debug, Clone, Default)]
pub struct Sieve {
    /// Each has to be a line of the entry.
    lines: Vec<Box<str>>,
    search: Option<Search>,
}

impl Sieve {
    /// One for tasks that are called exactly by each of `names`, kind, queue or tags, and that
    /// `search` finds.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, search: Option<&Search>) -> Self {
        let lines = names.into_iter().map(|name| fold(name).into()).collect();
        Self { lines, search: search.cloned() }
    }

    /// Whether everything goes through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lines.is_empty() && self.search.is_none()
    }

    /// Whether errors decide: whether one that has failed may be found by its error.
    #[must_use]
    pub fn asks_errors(&self) -> bool {
        self.search.is_some()
    }

    /// Whether a task may be meant: of this id and `entry`, and with this error if it has failed.
    #[must_use]
    pub fn passes(&self, id: &str, entry: &str, error: Option<&str>) -> bool {
        if entry.ends_with(BETWEEN) {
            return true;
        }
        let has = |line: &str| has_line(entry, line);
        self.lines.iter().all(|line| has(line))
            && self.search.as_ref().is_none_or(|search| match error {
                Some(error) => search.finds(id, &[entry, error]),
                None => search.finds(id, &[entry]),
            })
    }
}

/// Whether a line of `entry` is `line`.
fn has_line(entry: &str, line: &str) -> bool {
    let mut from = 0;
    while let Some(at) = entry[from..].find(line) {
        let (at, end) = (from + at, from + at + line.len());
        let begins = at == 0 || entry[..at].ends_with(BETWEEN);
        if begins && (end == entry.len() || entry[end..].starts_with(BETWEEN)) {
            return true;
        }
        from = at + entry[at..].chars().next().map_or(1, char::len_utf8);
        if from > entry.len() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(text: &str) -> Search {
        Search::of(text).unwrap().unwrap()
    }

    #[test]
    fn a_word_is_found_at_the_beginning_of_words_and_nowhere_else() {
        let texts = ["images.resize", "büro-7", "order 12"];
        for (word, found) in [
            ("re", true),
            ("size", false),
            ("images.re", true),
            ("IMAGES", true),
            ("BÜRO", true),
            ("7", true),
            ("üro", false),
            ("12", true),
            ("2", false),
            (".resize", true),
            ("order 12", true),
            ("order 7 im", true),
            ("order 8", false),
            ("1a2", true),
            ("1A2B", true),
        ] {
            assert_eq!(search(word).finds("1a2B3c", &texts), found, "{word}");
        }
    }

    #[test]
    fn a_search_is_short_and_of_few_words() {
        assert_eq!(Search::of("  \t "), Ok(None));
        assert!(Search::of(&"x".repeat(SEARCH_BYTES_MAX)).is_ok());
        assert_eq!(Search::of(&"x".repeat(SEARCH_BYTES_MAX + 1)), Err(SearchError::TooLong));
        assert!(Search::of(&"x ".repeat(SEARCH_WORDS_MAX)).is_ok());
        assert_eq!(Search::of(&"x ".repeat(SEARCH_WORDS_MAX + 1)), Err(SearchError::TooManyWords));
    }

    #[test]
    fn an_entry_that_is_too_long_says_so_and_goes_through() {
        let tags: Vec<_> = (0..40).map(|n| format!("{n}{}", "x".repeat(30))).collect();
        let entry = entry("mail", "mail", &tags);
        assert!(entry.len() <= ENTRY_BYTES_MAX && entry.ends_with('\n'));
        assert!(Sieve::new(["never there"], Some(&search("nor this"))).passes("1", &entry, None));
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[a-cA-C.:-]{1,6}", "[äÄßİ\u{3a3}\u{212a}a. ]{1,5}", "\\PC{1,64}"]
    }

    proptest! {
        #[test]
        fn a_sieve_never_holds_back_what_the_rule_finds(
            queue in "[a-cA-C.]{1,5}", kind in name(), tags in prop::collection::vec(name(), 0..12),
            id in "[a-c0-9]{20}", code in name(), message in name(), words in "[a-cA-CäÄßİ.: -]{0,8}",
            tag in 0_usize..12, has_failed: bool,
        ) {
            let entry = entry(&queue, &kind, &tags);
            let error = has_failed.then(|| error_text(&code, &message));
            let wanted = Search::of(&words).unwrap();
            let names: Vec<_> = [queue.as_str(), &kind]
                .into_iter()
                .chain(tags.get(tag).map(String::as_str))
                .collect();
            let folded: Vec<_> = [&queue, &kind].into_iter().chain(&tags).map(|t| fold(t)).collect();
            let mut texts: Vec<&str> = folded.iter().map(|text| &**text).collect();
            texts.extend(error.as_deref());
            let is_found = wanted.as_ref().is_none_or(|wanted| wanted.finds(&id, &texts));
            let passes = Sieve::new(names, wanted.as_ref()).passes(&id, &entry, error.as_deref());
            prop_assert!(!is_found || passes, "{entry:?} {wanted:?}");
            if !entry.ends_with('\n') && !tags.iter().any(|tag| tag.contains('\n')) {
                prop_assert_eq!(is_found, passes);
            }
        }

        #[test]
        fn folding_is_done_once_and_keeps_the_order_of_parts(a in "\\PC{0,20}", b in "\\PC{0,20}") {
            let both = format!("{a}{b}");
            prop_assert_eq!(fold(&both).into_owned(), format!("{}{}", fold(&a), fold(&b)));
            let once = fold(&a).into_owned();
            prop_assert_eq!(fold(&once).into_owned(), once.clone());
        }

        #[test]
        fn each_beginning_of_a_word_finds_it(word in "[a-zäö0-9]{1,12}", cut in 1_usize..12) {
            let part: String = word.chars().take(cut).collect();
            let text = format!("x.{word}-y");
            prop_assert!(search(&part.to_uppercase()).finds("", &[&fold(&text)]));
        }
    }
}
