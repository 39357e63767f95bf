//! What is set of queues and of users in them, and how each is spelled where it is stored: numbers
//! between commas, empty where nothing is set. Parts may be added at the end; readers ignore what
//! they do not know. Knows neither a partition nor who may set what.

use std::fmt;
use std::str::FromStr;

pub use crate::policy::gcra::Rate;

/// What a turn of a user is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Turns {
    /// As many tasks as their weight says.
    #[default]
    Count,
    /// As much run time as their weight says.
    RunTime,
}

/// What holds for everybody in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueSettings {
    /// Nothing of it is handed out.
    pub paused: bool,
    /// Waiting tasks of one user, scheduled ones included; absent: what the submission says.
    pub waiting_max: Option<u32>,
    /// Tasks of one user that run at once; absent: no limit.
    pub running_max: Option<u32>,
    /// How many tasks of one user start in which time; absent: no limit.
    pub rate: Option<Rate>,
    /// What a turn is.
    pub turns: Turns,
    /// Tasks of it that run at once, over all users; absent: no limit.
    pub running_total_max: Option<u32>,
    /// How many of its tasks start in which time, over all users; absent: no limit.
    pub rate_total: Option<Rate>,
}

/// What holds for one user in one queue, before what holds for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserSettings {
    /// Turns for one of the others, 1 to [`WEIGHT_MAX`](crate::limits::WEIGHT_MAX).
    pub weight: u32,
    /// Nothing of this user's is handed out.
    pub paused: bool,
    /// Waiting tasks of this user, scheduled ones included.
    pub waiting_max: Option<u32>,
    /// Tasks of this user that run at once.
    pub running_max: Option<u32>,
    /// How many tasks of this user start in which time.
    pub rate: Option<Rate>,
}

impl Default for UserSettings {
    fn default() -> Self {
        Self { weight: 1, paused: false, waiting_max: None, running_max: None, rate: None }
    }
}

impl QueueSettings {
    /// Whether it says nothing; then it is not kept.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// These, with rates within their bounds.
    #[must_use]
    pub fn bounded(self) -> Self {
        let (rate, rate_total) = (self.rate.map(Rate::bounded), self.rate_total.map(Rate::bounded));
        Self { rate, rate_total, ..self }
    }
}

impl UserSettings {
    /// Whether it says nothing; then it is not kept.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it limits how tasks start, so that those that run and start have to be counted.
    #[must_use]
    pub fn limits_starts(&self) -> bool {
        self.running_max.is_some() || self.rate.is_some()
    }

    /// These, with weight and rate within their bounds.
    #[must_use]
    pub fn bounded(self) -> Self {
        let rate = self.rate.map(Rate::bounded);
        Self { weight: self.weight.clamp(1, crate::limits::WEIGHT_MAX), rate, ..self }
    }
}

/// Who may pause all work of a user, each without the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The user.
    Owner,
    /// Whoever runs the installation.
    Operator,
}

/// By whom all work of a user is paused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pauses {
    /// By the user.
    pub own: bool,
    /// By whoever runs the installation.
    pub operator: bool,
}

impl Pauses {
    /// Whether by anybody.
    #[must_use]
    pub fn any(self) -> bool {
        self.own || self.operator
    }

    /// These, with that of one of the two changed.
    #[must_use]
    pub fn with(self, by: By, paused: bool) -> Self {
        match by {
            By::Owner => Self { own: paused, ..self },
            By::Operator => Self { operator: paused, ..self },
        }
    }
}

/// How many tasks of a user may wait in a queue, where the submission says `asked`.
#[must_use]
pub fn waiting_max(queue: &QueueSettings, user: &UserSettings, asked: u32) -> u32 {
    user.waiting_max.or(queue.waiting_max).unwrap_or(asked)
}

/// How many tasks of a user may run at once in a queue; absent: as many as workers have room for.
#[must_use]
pub fn running_max(queue: &QueueSettings, user: &UserSettings) -> Option<u32> {
    user.running_max.or(queue.running_max)
}

/// How many tasks of a user start in which time; absent: as many as workers take.
#[must_use]
pub fn rate(queue: &QueueSettings, user: &UserSettings) -> Option<Rate> {
    user.rate.or(queue.rate)
}

/// It is not spelled as settings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("settings are numbers between commas")]
pub struct Unreadable;

/// A number that may be absent.
struct Maybe<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |number| number.fmt(f))
    }
}

/// A rate that may be absent, with a comma before it.
struct MaybeRate(Option<Rate>);

impl fmt::Display for MaybeRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Rate { tasks, per_ms, burst }) = self.0 else { return Ok(()) };
        write!(f, ",{tasks},{per_ms},{burst}")
    }
}

fn flag(set: bool) -> &'static str {
    if set { "1" } else { "" }
}

/// Reads the parts of a text one after the other; what is missing is not set.
struct Parts<'a>(std::str::Split<'a, char>);

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.split(','))
    }

    fn number<T: FromStr>(&mut self) -> Result<Option<T>, Unreadable> {
        match self.0.next() {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| Unreadable),
        }
    }

    /// A rate; nothing where one of its numbers is not there.
    fn rate(&mut self) -> Result<Option<Rate>, Unreadable> {
        let (tasks, per_ms, burst) = (self.number()?, self.number()?, self.number()?);
        Ok((|| Some(Rate { tasks: tasks?, per_ms: per_ms?, burst: burst? }.bounded()))())
    }

    fn flag(&mut self) -> Result<bool, Unreadable> {
        Ok(self.number::<u8>()?.is_some_and(|number| number > 0))
    }
}

impl fmt::Display for QueueSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { paused, waiting_max, running_max, rate, turns, running_total_max, rate_total } =
            *self;
        let (paused, waiting, running) = (flag(paused), Maybe(waiting_max), Maybe(running_max));
        write!(f, "{paused},{waiting},{running}{}", MaybeRate(rate))?;
        // What is not set leaves its places empty, where something stands behind them.
        let (is_timed, total) = (turns == Turns::RunTime, running_total_max);
        let goes_on = total.is_some() || rate_total.is_some();
        if rate.is_none() && (is_timed || goes_on) {
            f.write_str(",,,")?;
        }
        if is_timed || goes_on {
            write!(f, ",{}", flag(is_timed))?;
        }
        if goes_on {
            write!(f, ",{}", Maybe(total))?;
        }
        write!(f, "{}", MaybeRate(rate_total))
    }
}

impl FromStr for QueueSettings {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut parts = Parts::of(text);
        Ok(Self {
            paused: parts.flag()?,
            waiting_max: parts.number()?,
            running_max: parts.number()?,
            rate: parts.rate()?,
            turns: if parts.flag()? { Turns::RunTime } else { Turns::Count },
            running_total_max: parts.number()?,
            rate_total: parts.rate()?,
        })
    }
}

impl fmt::Display for UserSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { weight, paused, waiting_max, running_max, rate } = *self;
        let (paused, rate) = (flag(paused), MaybeRate(rate));
        write!(f, "{weight},{paused},{},{}{rate}", Maybe(waiting_max), Maybe(running_max))
    }
}

impl FromStr for UserSettings {
    type Err = Unreadable;

    /// A mere number is a weight: so it was stored when there was nothing else.
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut parts = Parts::of(text);
        let weight = parts.number()?.unwrap_or(1);
        let (paused, waiting_max) = (parts.flag()?, parts.number()?);
        let (running_max, rate) = (parts.number()?, parts.rate()?);
        Ok(Self { weight, paused, waiting_max, running_max, rate }.bounded())
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "u",
            Self::Operator => "o",
        })
    }
}

impl fmt::Display for Pauses {
    /// A letter for each who has paused it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (by, paused) in [(By::Owner, self.own), (By::Operator, self.operator)] {
            if paused {
                by.fmt(f)?;
            }
        }
        Ok(())
    }
}

impl FromStr for Pauses {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let read = |pauses: Self, letter| match letter {
            'u' => Ok(pauses.with(By::Owner, true)),
            'o' => Ok(pauses.with(By::Operator, true)),
            _ => Err(Unreadable),
        };
        text.chars().try_fold(Self::default(), read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_spelled_is_read_also_with_parts_behind_it(
            paused: bool, waiting_max: Option<u32>, running_max: Option<u32>, weight in 1_u32..1_000,
            rate in prop::option::of((1_u32..9, 1_u32..99, 1_u32..9)), by_time: bool,
            rate_total in prop::option::of((1_u32..9, 1_u32..99, 1_u32..9)),
            running_total_max: Option<u32>, more in "(,[0-9]{0,4}){0,3}",
        ) {
            let of = |(tasks, per_ms, burst)| Rate { tasks, per_ms, burst };
            let (rate, rate_total) = (rate.map(of), rate_total.map(of));
            // What is not spelled has no place for further parts behind it.
            let rest = if rate.is_some() { "" } else { ",,," };
            let turns = if by_time { Turns::RunTime } else { Turns::Count };
            let queue = QueueSettings {
                paused, waiting_max, running_max, rate, turns, running_total_max, rate_total,
            };
            prop_assert_eq!(queue.to_string().parse(), Ok(queue));
            let gap = match (rate_total, running_total_max, by_time) {
                (Some(_), ..) => String::new(),
                (None, Some(_), _) => ",,,".to_owned(),
                (None, None, true) => ",,,,".to_owned(),
                (None, None, false) => format!("{rest},,,,,"),
            };
            prop_assert_eq!(format!("{queue}{gap}{more}").parse(), Ok(queue));
            let more = rest.to_owned() + &more;
            let user = UserSettings { weight, paused, waiting_max, running_max, rate };
            prop_assert_eq!(user.to_string().parse(), Ok(user));
            prop_assert_eq!(format!("{user}{more}").parse(), Ok(user));
            let pauses = Pauses { own: paused, operator: weight % 2 == 0 };
            prop_assert_eq!(pauses.to_string().parse(), Ok(pauses));
        }
    }

    #[test]
    fn a_mere_number_is_a_weight_and_other_words_are_refused() {
        assert_eq!("7".parse(), Ok(UserSettings { weight: 7, ..UserSettings::default() }));
        assert_eq!("".parse(), Ok(QueueSettings::default()));
        assert_eq!("x".parse::<UserSettings>(), Err(Unreadable));
        assert_eq!("1,x".parse::<QueueSettings>(), Err(Unreadable));
    }
}
