//! Replies cut out of a stream of bytes, each as soon as it is whole.
//!
//! Nesting needs no stack: a reply is whole when as many elements were seen as were announced.

use bytes::{Buf as _, BytesMut};
use redis::Value;
use tokio_util::codec::Decoder;

/// Bytes of one reply. The largest we ask for is a page of tasks.
const REPLY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of a line that announces something, or of an error.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Finds whole replies.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// Bytes already looked at.
    seen: usize,
    /// Elements still to come, the one at `seen` included; 0 between replies.
    wanted: usize,
}

fn broken(why: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not the protocol: {why}"))
}

impl Replies {
    /// The length of the reply at the front, once it is there as a whole.
    fn whole(&mut self, bytes: &[u8]) -> std::io::Result<Option<usize>> {
        if self.wanted == 0 {
            (self.seen, self.wanted) = (0, 1);
        }
        while self.wanted > 0 {
            let rest = &bytes[self.seen..];
            let Some(end) = rest.windows(2).take(LINE_BYTES_MAX).position(|two| two == b"\r\n")
            else {
                if rest.len() > LINE_BYTES_MAX {
                    return Err(broken("a line without an end"));
                }
                return Ok(None);
            };
            let number = || -> std::io::Result<i64> {
                let text = std::str::from_utf8(&rest[1..end]).map_err(|_| broken("a length"))?;
                text.parse().map_err(|_| broken("a length"))
            };
            let count = || Ok::<_, std::io::Error>(usize::try_from(number()?).unwrap_or(0));
            let mut length = end + 2;
            let mut more = 0;
            match rest.first() {
                Some(b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(') => {}
                Some(b'$' | b'!' | b'=') => {
                    if number()? >= 0 {
                        length = length.saturating_add(count()?).saturating_add(2);
                    }
                }
                Some(b'*' | b'~' | b'>') => more = count()?,
                Some(b'%') => more = count()?.saturating_mul(2),
                Some(b'|') => more = count()?.saturating_mul(2).saturating_add(1),
                _ => return Err(broken("an unknown kind of reply")),
            }
            if length.saturating_add(self.seen).saturating_add(more) > REPLY_BYTES_MAX {
                return Err(broken("a reply that is too large"));
            }
            if rest.len() < length {
                return Ok(None);
            }
            self.seen += length;
            self.wanted = self.wanted - 1 + more;
        }
        Ok(Some(self.seen))
    }
}

impl Decoder for Replies {
    type Item = Value;
    type Error = std::io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> std::io::Result<Option<Value>> {
        let Some(length) = self.whole(bytes)? else { return Ok(None) };
        let value = redis::parse_redis_value(&bytes[..length]).map_err(|_| broken("a reply"))?;
        bytes.advance(length);
        self.seen = 0;
        Ok(Some(value))
    }
}

/// One command of binary words.
pub(crate) fn command<W: AsRef<[u8]>>(to: &mut Vec<u8>, words: impl ExactSizeIterator<Item = W>) {
    to.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        to.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        to.extend_from_slice(word);
        to.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLES: &[&[u8]] = &[
        b"+OK\r\n",
        b"-MOVED 3 h:1\r\n",
        b":-7\r\n",
        b"$-1\r\n",
        b"$0\r\n\r\n",
        b"$4\r\n\r\n*1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n_\r\n",
        b">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
        b"%1\r\n+k\r\n*1\r\n#t\r\n",
    ];

    proptest! {
        #[test]
        fn replies_are_found_however_the_bytes_arrive(
            order in prop::collection::vec(0..SAMPLES.len(), 1..12),
            cuts in prop::collection::vec(1..9_usize, 1..200),
        ) {
            let bytes: Vec<u8> = order.iter().flat_map(|&i| SAMPLES[i].to_vec()).collect();
            let wanted: Vec<Value> = order
                .iter()
                .map(|&i| redis::parse_redis_value(SAMPLES[i]).unwrap())
                .collect();
            let (mut replies, mut buffer, mut found) = (Replies::default(), BytesMut::new(), vec![]);
            let (mut at, mut cut) = (0, 0);
            while at < bytes.len() {
                let step = cuts[cut % cuts.len()].min(bytes.len() - at);
                cut += 1;
                buffer.extend_from_slice(&bytes[at..at + step]);
                at += step;
                while let Some(value) = replies.decode(&mut buffer).unwrap() {
                    found.push(value);
                }
            }
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn other_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            let mut replies = Replies::default();
            while let Ok(Some(_)) = replies.decode(&mut buffer) {}
        }
    }
}
