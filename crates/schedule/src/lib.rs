//! When a schedule comes: cron expressions in time zones, intervals, and what is done about times
//! that were missed. A *tick* is one time at which it comes, in ms since 1970.
//!
//! Pure: time comes in as a number. It never knows tasks, users, stores or what a tick does.
//!
//! Clocks that are put forward or back: an hour that is not there has no ticks, and one that is
//! there twice has them once, the first time. So ticks of an expression come in the order of what
//! clocks on the wall show, and none comes twice.

mod cron;
mod missed;
mod search;
mod words;

use jiff::tz::TimeZone;

pub use cron::{Cron, CronError};
pub use missed::{CATCH_UP_MAX, CatchUp, ON_TIME_MS, Turn, turn};

/// The shortest interval, ms.
pub const EVERY_MS_MIN: u64 = 1_000;
/// The longest interval, ms: 366 days.
pub const EVERY_MS_MAX: u64 = 366 * 24 * 3_600 * 1_000;
/// How many years ahead a tick is looked for: a 29 February on a Sunday is up to 40 years away.
pub const HORIZON_YEARS: i16 = 50;

/// A name that is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no time zone of this name; use one such as Europe/Berlin, America/New_York or UTC"
)]
pub struct ZoneError;

/// An interval that is too short or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an interval is {EVERY_MS_MIN} to {EVERY_MS_MAX} ms")]
pub struct EveryError;

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this name, whatever its case.
    ///
    /// # Errors
    /// [`ZoneError`] if there is none.
    pub fn named(name: &str) -> Result<Self, ZoneError> {
        TimeZone::get(name).map(Self).map_err(|_| ZoneError)
    }

    /// Its name as the database spells it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

/// The rule by which ticks come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Cron(Cron, Zone),
    Every { ms: i64, from_ms: i64 },
}

/// All ticks of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    rule: Rule,
    starts_ms: Option<i64>,
    ends_ms: Option<i64>,
}

impl Plan {
    /// Ticks where the clocks of `zone` show what `cron` says.
    #[must_use]
    pub fn cron(cron: Cron, zone: Zone) -> Self {
        Self { rule: Rule::Cron(cron, zone), starts_ms: None, ends_ms: None }
    }

    /// A tick every `ms`, counted from `from_ms`, which is one itself.
    ///
    /// # Errors
    /// [`EveryError`] beyond [`EVERY_MS_MIN`] and [`EVERY_MS_MAX`].
    pub fn every(ms: u64, from_ms: i64) -> Result<Self, EveryError> {
        if !(EVERY_MS_MIN..=EVERY_MS_MAX).contains(&ms) {
            return Err(EveryError);
        }
        let ms = i64::try_from(ms).map_err(|_| EveryError)?;
        Ok(Self { rule: Rule::Every { ms, from_ms }, starts_ms: None, ends_ms: None })
    }

    /// The same without ticks before `starts_ms`, and from `ends_ms` on.
    #[must_use]
    pub fn between(self, starts_ms: Option<i64>, ends_ms: Option<i64>) -> Self {
        Self { starts_ms, ends_ms, ..self }
    }

    /// The first tick after `after_ms`; absent when there is none within [`HORIZON_YEARS`].
    #[must_use]
    pub fn next_after(&self, after_ms: i64) -> Option<i64> {
        let after_ms = match self.starts_ms {
            Some(starts_ms) => after_ms.max(starts_ms.saturating_sub(1)),
            None => after_ms,
        };
        let at_ms = match &self.rule {
            Rule::Cron(cron, zone) => search::next(cron, &zone.0, after_ms)?,
            Rule::Every { ms, from_ms } => {
                let gone = after_ms.checked_sub(*from_ms)?.div_euclid(*ms);
                from_ms.checked_add(gone.checked_add(1)?.checked_mul(*ms)?)?
            }
        };
        self.ends_ms.is_none_or(|ends_ms| at_ms < ends_ms).then_some(at_ms)
    }

    /// The last tick that is not after `until_ms`.
    #[must_use]
    pub fn last_until(&self, until_ms: i64) -> Option<i64> {
        let until_ms = match self.ends_ms {
            Some(ends_ms) => until_ms.min(ends_ms.saturating_sub(1)),
            None => until_ms,
        };
        let at_ms = match &self.rule {
            Rule::Cron(cron, zone) => search::last(cron, &zone.0, until_ms)?,
            Rule::Every { ms, from_ms } => {
                let gone = until_ms.checked_sub(*from_ms)?.div_euclid(*ms);
                from_ms.checked_add(gone.checked_mul(*ms)?)?
            }
        };
        self.starts_ms.is_none_or(|starts_ms| at_ms >= starts_ms).then_some(at_ms)
    }

    /// The first `count` ticks after `after_ms`.
    #[must_use]
    pub fn upcoming(&self, after_ms: i64, count: usize) -> Vec<i64> {
        let first = self.next_after(after_ms);
        std::iter::successors(first, |at_ms| self.next_after(*at_ms)).take(count).collect()
    }

    /// The rule in plain words, such as `at 09:00 on Monday to Friday`.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.rule {
            Rule::Cron(cron, _) => words::cron(cron),
            Rule::Every { ms, .. } => words::every(*ms),
        }
    }
}
