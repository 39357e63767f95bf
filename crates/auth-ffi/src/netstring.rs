//! Lists of texts in one text: each as its length in bytes, a colon, and its bytes. No byte means
//! anything in them, so nothing in a text can be taken for the end of it.

/// Digits of a length, at most.
const DIGITS_MAX: usize = 7;

/// Appends one text to a list.
pub fn put(list: &mut Vec<u8>, text: &[u8]) {
    list.extend_from_slice(text.len().to_string().as_bytes());
    list.push(b':');
    list.extend_from_slice(text);
}

/// The texts of a list. After one that is malformed comes `None` inside, then the end.
#[derive(Debug, Clone)]
pub struct Netstrings<'a>(&'a [u8]);

impl<'a> Netstrings<'a> {
    /// The texts of `list`.
    #[must_use]
    pub fn of(list: &'a [u8]) -> Self {
        Self(list)
    }

    fn take(&mut self) -> Option<&'a [u8]> {
        let window = &self.0[..self.0.len().min(DIGITS_MAX + 1)];
        let colon = window.iter().position(|byte| *byte == b':')?;
        let digits = &self.0[..colon];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let rest = &self.0[colon + 1..];
        let (text, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}

impl<'a> Iterator for Netstrings<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let text = self.take();
        if text.is_none() {
            self.0 = &[];
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_comes_out(texts: Vec<Vec<u8>>) {
            let mut list = Vec::new();
            for text in &texts {
                put(&mut list, text);
            }
            let read: Option<Vec<&[u8]>> = Netstrings::of(&list).collect();
            let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(read, Some(texts));
        }

        #[test]
        fn any_bytes_end(list: Vec<u8>) {
            prop_assert!(Netstrings::of(&list).count() <= list.len());
        }
    }

    #[test]
    fn a_length_that_lies_is_noticed() {
        for list in ["3:ab", "a", ":", "-1:", "12345678:", "1", "1:ab", "1:a1:"] {
            let read: Option<Vec<&[u8]>> = Netstrings::of(list.as_bytes()).collect();
            assert_eq!(read, None, "{list}");
        }
    }
}
