//! What a worker has and a task may need (`gpu`), and the queue that follows: a task that needs
//! labels waits in `<queue>+<label>+<label>`, which only workers that have all of them claim from.
//! Knows no worker and no task, so that nothing is chosen when tasks are handed out.

use std::fmt;

use crate::ids::Name;

/// Most labels of one task, and of one worker: a worker names up to `2^LABELS_MAX` queues for each
/// one it serves.
pub const LABELS_MAX: usize = 3;
/// Longest label, in characters.
pub const LABEL_CHARS_MAX: usize = 32;
/// What stands before each label in the name of a queue.
pub const LABEL_MARK: char = '+';

/// Why texts are no labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// One of them is none.
    #[error("a label is 1 to {LABEL_CHARS_MAX} characters of a-z 0-9 _ -")]
    Text,
    /// There are too many.
    #[error("there are at most {LABELS_MAX} labels")]
    Many,
}

/// Up to [`LABELS_MAX`] labels in order, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Vec<Box<str>>);

impl Labels {
    /// These labels, in whatever order and however often they are named.
    ///
    /// # Errors
    /// [`LabelError`].
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, LabelError> {
        let mut labels: Vec<Box<str>> = Vec::new();
        for text in texts {
            let text = text.as_ref();
            if !is_label(text) {
                return Err(LabelError::Text);
            }
            if let Err(at) = labels.binary_search_by(|known| (**known).cmp(text)) {
                labels.insert(at, text.into());
            }
            if labels.len() > LABELS_MAX {
                return Err(LabelError::Many);
            }
        }
        Ok(Self(labels))
    }

    /// Each in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|label| &**label)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a worker that has these may take what needs `needed`.
    #[must_use]
    pub fn have(&self, needed: &Self) -> bool {
        needed.0.iter().all(|label| self.0.contains(label))
    }

    /// The labels as texts.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.iter().map(ToOwned::to_owned).collect()
    }

    /// Every choice among them, that of none first.
    fn choices(&self) -> impl Iterator<Item = Self> {
        let of = |bits: usize| {
            let chosen = self.0.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1);
            Self(chosen.map(|(_, label)| label.clone()).collect())
        };
        (0..1_usize << self.0.len()).map(of)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Whether a text may be a label.
fn is_label(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    (1..=LABEL_CHARS_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// Whether these are the labels of a queue's name, as they stand behind its first mark: in order,
/// each once, so that a set of labels has one spelling.
pub(crate) fn is_spelled(labels: &str) -> bool {
    let parts = || labels.split(LABEL_MARK);
    let rising = parts().zip(parts().skip(1)).all(|(one, next)| one < next);
    parts().count() <= LABELS_MAX && parts().all(is_label) && rising
}

impl Name {
    /// The queue of this name without its labels.
    #[must_use]
    pub fn plain(&self) -> Self {
        match self.as_str().split_once(LABEL_MARK) {
            None => self.clone(),
            Some((plain, _)) => plain.parse().expect("the first part of a name is a name"),
        }
    }

    /// Whether it names no labels.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.as_str().contains(LABEL_MARK)
    }

    /// What a worker has to have to claim from the queue of this name.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let labels = self.as_str().split(LABEL_MARK).skip(1);
        Labels(labels.map(Into::into).collect())
    }

    /// The queue for tasks of this one that need `labels` and nothing else.
    #[must_use]
    pub fn with_labels(&self, labels: &Labels) -> Self {
        let mut text = self.plain().as_str().to_owned();
        for label in labels.iter() {
            text.push(LABEL_MARK);
            text.push_str(label);
        }
        text.parse().expect("a name and labels in order are a name")
    }

    /// The queues that a worker with `labels` claims from where it serves this one: itself first.
    pub fn served_with<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = Self> + 'a {
        labels.choices().map(|chosen| self.with_labels(&chosen))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn labels() -> impl Strategy<Value = Labels> {
        prop::collection::vec("[a-z0-9_-]{1,32}", 0..=LABELS_MAX)
            .prop_map(|texts| Labels::new(texts).unwrap())
    }

    proptest! {
        #[test]
        fn a_queue_says_which_labels_it_is_for(name in "[A-Za-z0-9_.-]{1,64}", of in labels()) {
            let plain: Name = name.parse().unwrap();
            let queue = plain.with_labels(&of);
            prop_assert_eq!(queue.labels(), of.clone());
            prop_assert_eq!(queue.plain(), plain.clone());
            prop_assert_eq!(queue.is_plain(), of.is_empty());
            prop_assert_eq!(queue.as_str().parse::<Name>().unwrap(), queue.clone());
            // Labels are chosen, not added to.
            prop_assert_eq!(queue.with_labels(&Labels::default()), plain);
        }

        #[test]
        fn a_worker_claims_exactly_what_its_labels_are_enough_for(of in labels(), has in labels()) {
            let plain: Name = "images".parse().unwrap();
            let served: Vec<Name> = plain.served_with(&has).collect();
            prop_assert_eq!(&served[0], &plain);
            prop_assert_eq!(served.len(), 1 << has.iter().count());
            prop_assert_eq!(served.iter().collect::<BTreeSet<_>>().len(), served.len());
            prop_assert_eq!(served.contains(&plain.with_labels(&of)), has.have(&of));
        }

        #[test]
        fn any_text_behind_a_mark_is_labels_in_their_one_spelling_or_no_name(text in "[a-c+]{0,9}") {
            let name = format!("q+{text}");
            match (name.parse::<Name>(), Labels::new(text.split('+'))) {
                (Ok(queue), Ok(of)) => {
                    prop_assert_eq!(queue.labels(), of.clone());
                    prop_assert_eq!(of.texts().join("+"), text);
                }
                (Ok(_), Err(error)) => prop_assert!(false, "{name} names {error}"),
                (Err(_), Ok(of)) => prop_assert_ne!(of.texts().join("+"), text),
                (Err(_), Err(_)) => {}
            }
        }
    }

    #[test]
    fn labels_are_kept_in_order_each_once_and_not_too_many() {
        let of = |texts: &[&str]| Labels::new(texts).map(|labels| labels.texts());
        assert_eq!(of(&["gpu", "eu", "gpu"]).unwrap(), ["eu", "gpu"]);
        assert_eq!(of(&["a", "b", "c", "a"]).unwrap().len(), LABELS_MAX);
        assert_eq!(of(&["a", "b", "c", "d"]), Err(LabelError::Many));
        let longest = "x".repeat(LABEL_CHARS_MAX);
        assert!(of(&[&longest]).is_ok());
        for bad in ["", "GPU", "a+b", "a b", "ü", &format!("{longest}x")] {
            assert_eq!(of(&[bad]), Err(LabelError::Text), "{bad}");
        }
    }
}
