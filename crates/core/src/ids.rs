//! Names for users, tasks, queues, workers and leases. Each is checked where it is made, so that
//! no later place has to ask whether it may stand in a key, a token or a path.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::Alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::labels::{LABEL_MARK, is_spelled};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A queue or kind name.
    #[error("a queue or kind name is 1 to 64 characters of A-Z a-z 0-9 _ . -")]
    Name,
    /// A user id.
    #[error("a user id is 1 to 32 characters of A-Z a-z 0-9 _ -, or ~ and 22 characters")]
    User,
    /// A task id.
    #[error("a task id is 16 characters of A-Z a-z 0-9 _ -")]
    Task,
    /// A worker id.
    #[error("a worker id is 1 to 40 characters of A-Z a-z 0-9 _ -")]
    Worker,
    /// A lease token.
    #[error("this is not a lease token")]
    Lease,
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The owner of tasks: unit of isolation, fairness and quota.
///
/// Holds only characters that mean nothing in a key, a lease token or a path. Subjects of other
/// shapes are folded into 128 bits of their hash by [`UserId::encode`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The id of a subject as the issuer spells it: the subject itself when it is 1 to 32 word
    /// characters, else `~` and 128 bits of its SHA-256. Distinct subjects give distinct ids.
    #[must_use]
    pub fn encode(subject: &str) -> Self {
        if !subject.is_empty() && subject.len() <= 32 && is_word(subject) {
            return Self(subject.into());
        }
        let digest = Sha256::digest(subject.as_bytes());
        Self(format!("~{}", URL_SAFE_NO_PAD.encode(&digest[..16])).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let plain = !text.is_empty() && text.len() <= 32 && is_word(text);
        let hashed = text.len() == 23 && text.starts_with('~') && is_word(&text[1..]);
        if plain || hashed { Ok(Self(text.into())) } else { Err(IdError::User) }
    }
}

/// One task of one user: 48 bits of creation time in ms, then 48 random bits.
///
/// Ids of one user sort by time of creation, as bytes and as text alike. An id grants nothing:
/// every access names its user too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId([u8; 12]);

/// The characters of base64url in the order of their codes, so that texts sort like what they
/// spell (base64url itself has its capitals first).
const TASK_ID_TEXT: GeneralPurpose = GeneralPurpose::new(
    match &Alphabet::new("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz") {
        Ok(alphabet) => alphabet,
        Err(_) => panic!("64 different characters"),
    },
    NO_PAD,
);

/// Added to the first byte of the text, so that an id of our time begins with a letter and not with
/// a `-`, which programs would take for an option. Times below 2^47 ms still sort.
const TEXT_LEAD: u8 = 0x80;
/// The last time whose ids sort as text, wall clock, ms.
const TIME_MS_MAX: i64 = (1 << 47) - 1;

impl TaskId {
    /// An id made at `now_ms` from 48 bits of `random`.
    #[must_use]
    pub fn new(now_ms: i64, random: u64) -> Self {
        let mut bytes = [0; 12];
        bytes[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random.to_be_bytes()[2..]);
        Self(bytes)
    }

    /// When it was made, wall clock, ms.
    #[must_use]
    pub fn created_ms(self) -> i64 {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.0[..6]);
        i64::from_be_bytes(bytes)
    }

    /// The first id of all that are made at `now_ms`; times before 1970 count as 1970.
    #[must_use]
    pub fn first_of(now_ms: i64) -> Self {
        Self::new(now_ms.clamp(0, TIME_MS_MAX), 0)
    }

    /// The twelve bytes, which sort like the ids.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 12] {
        self.0
    }

    /// The id whose bytes these are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }
}

impl FromStr for TaskId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = TASK_ID_TEXT.decode(text).map_err(|_| IdError::Task)?;
        let mut bytes: [u8; 12] = bytes.try_into().map_err(|_| IdError::Task)?;
        bytes[0] ^= TEXT_LEAD;
        Ok(Self(bytes))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0;
        bytes[0] ^= TEXT_LEAD;
        f.write_str(&TASK_ID_TEXT.encode(bytes))
    }
}

/// The name of a queue or of a kind; that of a queue may end with labels, `images+eu+gpu`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (plain, labels) = match text.split_once(LABEL_MARK) {
            Some((plain, labels)) => (plain, Some(labels)),
            None => (text, None),
        };
        let fits = !plain.is_empty()
            && plain.len() <= 64
            && plain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
            && labels.is_none_or(is_spelled);
        if fits { Ok(Self(text.into())) } else { Err(IdError::Name) }
    }
}

/// One start of one worker process: fresh and random each time, so that a new process is never
/// taken for a dead one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// Prefix of workers that live in the server's own process and die with it.
    pub const IN_PROCESS: &'static str = "in-";

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this worker shares the process of the store, so that it is known dead after a
    /// restart.
    #[must_use]
    pub fn is_in_process(&self) -> bool {
        self.0.starts_with(Self::IN_PROCESS)
    }
}

impl FromStr for WorkerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if !text.is_empty() && text.len() <= 40 && is_word(text) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Worker)
        }
    }
}

macro_rules! text_id {
    ($($id:ident)*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text_id!(UserId Name WorkerId);

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The right to report on one acquisition of one task: `queue|user|task|attempt|claim|worker.n`.
///
/// No two acquisitions ever share a token: `claim` rises with every change of holder, and
/// `worker.n` names the very call that took it, so not even a failover that forgot the first
/// acquisition can repeat it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The queue the task was taken from.
    pub queue: Name,
    /// The owner of the task.
    pub user: UserId,
    /// The task.
    pub task: TaskId,
    /// The counted execution, from 1.
    pub attempt: u32,
    /// The claim number.
    pub claim: u32,
    /// Who holds it.
    pub worker: WorkerId,
    /// Which claiming call of that worker took it.
    pub call: u64,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, user, task, attempt, claim, worker, call } = self;
        write!(f, "{queue}|{user}|{task}|{attempt}|{claim}|{worker}.{call}")
    }
}

impl FromStr for Lease {
    type Err = IdError;

    fn from_str(token: &str) -> Result<Self, IdError> {
        fn number<T: FromStr + fmt::Display>(text: &str) -> Result<T, IdError> {
            let value: T = text.parse().map_err(|_| IdError::Lease)?;
            // One acquisition, one spelling: no sign, no leading zero.
            if value.to_string() == text { Ok(value) } else { Err(IdError::Lease) }
        }
        let mut parts = token.split('|');
        let mut next = || parts.next().ok_or(IdError::Lease);
        let (queue, user, task) = (next()?, next()?, next()?);
        let (attempt, claim, holder) = (next()?, next()?, next()?);
        let (worker, call) = holder.split_once('.').ok_or(IdError::Lease)?;
        if parts.next().is_some() {
            return Err(IdError::Lease);
        }
        Ok(Self {
            queue: queue.parse()?,
            user: user.parse()?,
            task: task.parse()?,
            attempt: number(attempt)?,
            claim: number(claim)?,
            worker: worker.parse()?,
            call: number(call)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn encoded_users_hold_only_word_characters_and_parse_again(subject in ".{0,300}") {
            let user = UserId::encode(&subject);
            prop_assert_eq!(user.as_str().parse::<UserId>().unwrap(), user.clone());
            let special = user.as_str().contains(['{', '}', ':', '|', '*', '?', '[', '/', '.']);
            prop_assert!(!special);
        }

        #[test]
        fn distinct_subjects_give_distinct_users(a in ".{0,60}", b in ".{0,60}") {
            prop_assume!(a != b);
            prop_assert_ne!(UserId::encode(&a), UserId::encode(&b));
        }

        #[test]
        fn a_task_id_survives_its_text_and_sorts_by_time(a in 0..1i64 << 47, b in 0..1i64 << 47, r: u64) {
            let (first, second) = (TaskId::new(a, r), TaskId::new(b, r));
            prop_assert_eq!(first.to_string().parse::<TaskId>().unwrap(), first);
            prop_assert_eq!(first.to_string().len(), 16);
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
            prop_assert_eq!(first.to_string().cmp(&second.to_string()), a.cmp(&b));
        }

        #[test]
        fn an_id_of_our_time_begins_with_a_letter(ms in 0..1i64 << 43, r: u64) {
            let text = TaskId::new(ms, r).to_string();
            prop_assert!(text.starts_with(|c: char| c.is_ascii_alphabetic()), "{}", text);
        }

        #[test]
        fn a_lease_survives_its_token(attempt: u32, claim: u32, call: u64, ms in 0..1i64 << 47, r: u64) {
            let lease = Lease {
                queue: if r % 2 == 0 { "mail.out" } else { "mail.out+eu+gpu" }.parse().unwrap(),
                user: UserId::encode("ana"),
                task: TaskId::new(ms, r),
                attempt,
                claim,
                worker: "w-1".parse().unwrap(),
                call,
            };
            prop_assert_eq!(lease.to_string().parse::<Lease>().unwrap(), lease);
        }

        #[test]
        fn any_other_text_is_refused_without_a_panic(text in ".{0,120}") {
            let _ = text.parse::<Lease>();
            let _ = text.parse::<TaskId>();
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.as_str(), &text);
            }
        }
    }

    #[test]
    fn a_lease_token_has_one_spelling() {
        let id = TaskId::new(1, 2);
        for bad in ["01|1|w.1", "1|+1|w.1", "1|1|w.01", "1|1|w", "1|1|w.1|"] {
            assert_eq!(format!("q|ana|{id}|{bad}").parse::<Lease>(), Err(IdError::Lease), "{bad}");
        }
    }
}
