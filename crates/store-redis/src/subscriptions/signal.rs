//! How a signal on a channel is read. Whatever it is, reading it cannot fail otherwise than by
//! being nothing.

use tasktonic_core::Text;
use tasktonic_core::routing::PartitionId;
use tasktonic_store::{UserEvent, Wake};

/// A signal on a worker's channel in partition `p`: `w` and a queue, or `c` and a lease token.
pub(super) fn wake(p: PartitionId, payload: &[u8]) -> Option<Wake> {
    let text = std::str::from_utf8(payload).ok()?;
    match text.split_at_checked(1)? {
        ("w", queue) => Some(Wake::Work(p, queue.parse().ok()?)),
        ("c", lease) => Some(Wake::Cancel(lease.parse().ok()?)),
        _ => None,
    }
}

/// A signal on a user's channel: `<epoch>-<seq>` and a JSON array, or a bare JSON object.
pub(super) fn event(payload: &[u8]) -> Option<UserEvent> {
    let text = std::str::from_utf8(payload).ok()?;
    if text.starts_with('{') && text.ends_with('}') {
        return Some(UserEvent::Passing(Text::from(text)));
    }
    let (number, array) = text.split_at_checked(text.find('[')?)?;
    let (epoch, seq) = number.split_once('-')?;
    if !array.ends_with(']') {
        return None;
    }
    let (epoch, seq) = (epoch.parse().ok()?, seq.parse().ok()?);
    Some(UserEvent::Logged { epoch, seq, text: Text::from(array) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wakes_and_cancellations_are_read() {
        let p = PartitionId(3);
        assert_eq!(wake(p, b"wmail.out"), Some(Wake::Work(p, "mail.out".parse().unwrap())));
        let token = "mail|ana|----------------|1|2|w-1.7";
        let lease = token.parse().unwrap();
        assert_eq!(wake(p, format!("c{token}").as_bytes()), Some(Wake::Cancel(lease)));
        for other in [&b""[..], b"w", b"w a", b"xmail", b"cmail", "ümail".as_bytes(), b"\xff"] {
            assert_eq!(wake(p, other), None);
        }
    }

    #[test]
    fn events_are_read() {
        let text = r#"[{"t":"queued"}]"#;
        assert_eq!(
            event(format!("2-41{text}").as_bytes()),
            Some(UserEvent::Logged { epoch: 2, seq: 41, text: text.into() })
        );
        assert_eq!(event(br#"{"a":[1]}"#), Some(UserEvent::Passing(r#"{"a":[1]}"#.into())));
        for other in [&b""[..], b"[1]", b"2-[1]", b"-2[1]", b"2-4[1", b"2-4", b"{", b"\xff"] {
            assert_eq!(event(other), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (wake(PartitionId(0), &bytes), event(&bytes));
        }
    }
}
