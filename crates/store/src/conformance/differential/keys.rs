//! Keys of submissions in a walk, and what takes away the tasks that have them. Never knows what a key
//! means to either store.

use tasktonic_core::command::{Control, Idempotency, KeyMode, NewTask, Purge, Replaced};
use tasktonic_core::{Text, UserId};

use super::{Of, Walk};

/// Keys of one user that were used last, of which a plain walk uses some again.
const USED_LATELY: usize = 8;
/// Lives of keys in a plain walk, ms: that of people's programs, some that end within the walk, none,
/// and one longer than a server takes.
const LIVES_MS: [i64; 6] = [86_400_000, 86_400_000, 1_500, 40, 0, 20_000_000_000_000];

impl Walk {
    /// The key of a submission, if it has one; `call` are those before it in the same call.
    pub(super) fn key(&mut self, user: &UserId, call: &[NewTask]) -> Option<Idempotency> {
        if self.one_in(3) {
            return Some(Idempotency {
                key: self.one_of_few(),
                body_hash: u128::from(self.seed.below(2)),
                ttl_ms: 1 + i64::try_from(self.seed.below(60_000)).unwrap_or(0),
                mode: self.key_mode(),
            });
        }
        if self.of == Of::Plain { self.usual_key(user, call) } else { None }
    }

    fn one_of_few(&mut self) -> Text {
        format!("k\u{e9}{}", self.seed.below(6)).into()
    }

    /// One of the usual mode: nearly always a fresh one, as programs give it to what they may send
    /// again; or one that was used before, in the same call too.
    fn usual_key(&mut self, user: &UserId, call: &[NewTask]) -> Option<Idempotency> {
        let key = match self.seed.below(20) {
            0..6 => return None,
            6..14 => Text::from(format!("once-{:x}", self.seed.next())),
            14 | 15 => {
                let last = call.iter().rev().find(|new| new.user == *user);
                last.and_then(|new| new.idempotency.clone())?.key
            }
            16 | 17 => {
                let lately = self.keyed.iter().rev().filter(|(of, ..)| of == user);
                let lately: Vec<_> = lately.take(USED_LATELY).map(|(.., key)| key).collect();
                let at = self.seed.pick(lately.len().max(1));
                lately.get(at).copied()?.clone()
            }
            _ => self.one_of_few(),
        };
        let ttl_ms = LIVES_MS[self.seed.pick(LIVES_MS.len())];
        Some(Idempotency::new(key, u128::from(self.seed.below(2)), ttl_ms))
    }

    fn key_mode(&mut self) -> KeyMode {
        match self.seed.below(8) {
            0..2 => KeyMode::Ttl,
            2 => KeyMode::UntilDone,
            3 => KeyMode::UntilStarted,
            4 => KeyMode::Unique,
            5 => KeyMode::Throttle,
            _ => {
                let body = Text::from(r#""why":"replaced by \"s\":\"queued\"""#);
                KeyMode::Replace(Replaced { body, keep_s: [0, 1, 60][self.seed.pick(3)] })
            }
        }
    }

    /// Removes a task that had a key, which is used again soon.
    pub(super) fn purge_keyed(&mut self) -> Option<Control> {
        let at = self.seed.pick(self.keyed.len().max(1));
        let (user, task, key) = self.keyed.get(at)?.clone();
        self.keyed.push((user.clone(), task, key.clone()));
        let claim = if self.seed.below(6) == 0 { 2 } else { 1 };
        let key = (self.seed.below(3) > 0).then_some(key);
        let tasks = vec![Purge { task, claim, key }];
        Some(Control::Purge { at_ms: self.clock.now_ms(), user, tasks })
    }
}
