//! A cron expression read: five fields (minute, hour, day of the month, month, day of the week), or
//! a word such as `@daily`. What each field names is a set of numbers.

use std::str::FromStr;

/// The longest expression, in bytes: every minute of an hour listed takes less.
const BYTES_MAX: usize = 500;

/// Why a text is no cron expression. Says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// The number of fields.
    #[error(
        "a cron expression has five fields: minute, hour, day of the month, month, day of the \
         week; this has {0}"
    )]
    Fields(usize),
    /// A word after `@`.
    #[error("the words are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually")]
    Word,
    /// One field.
    #[error("{field}: {what}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong, and what may stand there.
        what: String,
    },
    /// The whole.
    #[error("a cron expression has at most {BYTES_MAX} characters")]
    Long,
    /// Days that no month has.
    #[error("no such day ever comes: the months it names have no such day")]
    Never,
}

/// What each field names, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    pub(crate) minutes: u64,
    pub(crate) hours: u64,
    /// From bit 1.
    pub(crate) days: u64,
    /// From bit 1.
    pub(crate) months: u64,
    /// Sunday is bit 0.
    pub(crate) weekdays: u64,
    /// A day has to be in `days` and in `weekdays`; else one of them is enough.
    pub(crate) both: bool,
}

/// A field: its name, its least and greatest number, and names of its numbers from the least on.
struct Field {
    name: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", least: 1, most: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Field = Field {
    name: "day of the week",
    least: 0,
    // Sunday again.
    most: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        if text.len() > BYTES_MAX {
            return Err(CronError::Long);
        }
        let text = text.trim().to_ascii_lowercase();
        let text = match text.strip_prefix('@') {
            Some("hourly") => "0 * * * *",
            Some("daily" | "midnight") => "0 0 * * *",
            Some("weekly") => "0 0 * * 0",
            Some("monthly") => "0 0 1 * *",
            Some("yearly" | "annually") => "0 0 1 1 *",
            Some(_) => return Err(CronError::Word),
            None => &text,
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(CronError::Fields(fields.len()));
        };
        let mut weekdays = WEEKDAY.read(weekday)?;
        if weekdays >> 7 & 1 == 1 {
            weekdays = weekdays & 0x7f | 1;
        }
        let cron = Self {
            minutes: MINUTE.read(minute)?,
            hours: HOUR.read(hour)?,
            days: DAY.read(day)?,
            months: MONTH.read(month)?,
            weekdays,
            // As cron has done it since the seventies: two fields that both restrict the day are
            // alternatives.
            both: day.starts_with('*') || weekday.starts_with('*'),
        };
        if cron.comes() { Ok(cron) } else { Err(CronError::Never) }
    }
}

impl Cron {
    /// Whether any month it names has a day it names.
    fn comes(&self) -> bool {
        const LONGEST: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let first_day = self.days.trailing_zeros();
        let fits = |(month, days): (usize, &u8)| {
            self.months >> (month + 1) & 1 == 1 && first_day <= u32::from(*days)
        };
        !self.both || LONGEST.iter().enumerate().any(fits)
    }

    /// Whether it names this day; `weekday` counts from Sunday, 0.
    pub(crate) fn has_day(&self, month: i8, day: i8, weekday: i8) -> bool {
        let (in_days, in_weekdays) = (self.days >> day & 1 == 1, self.weekdays >> weekday & 1 == 1);
        let fits = if self.both { in_days && in_weekdays } else { in_days || in_weekdays };
        fits && self.months >> month & 1 == 1
    }
}

impl Field {
    fn wrong(&self, what: String) -> CronError {
        CronError::Field { field: self.name, what }
    }

    fn read(&self, text: &str) -> Result<u64, CronError> {
        let mut bits = 0;
        for part in text.split(',') {
            bits |= self.part(part)?;
        }
        Ok(bits)
    }

    /// `*`, `7`, `1-5`, each perhaps with `/2`.
    fn part(&self, text: &str) -> Result<u64, CronError> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((range, step)) => {
                let number = step.parse::<u8>().ok();
                let step = number.filter(|step| *step > 0).ok_or_else(|| {
                    self.wrong(format!("`{text}`: after `/` stands a step of 1 or more"))
                })?;
                (range, Some(step))
            }
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.least, if self.most == 7 { 6 } else { self.most }),
            Some((first, last)) => {
                let (first, last) = (self.number(first)?, self.number(last)?);
                if first > last {
                    return Err(self.wrong(format!(
                        "`{range}` goes backwards; list both parts, as in `fri,sat,sun-mon` \
                         written `fri,sat,sun,mon`"
                    )));
                }
                (first, last)
            }
            None => {
                let first = self.number(range)?;
                // `5/15` is from 5 on.
                (first, if step.is_some() { self.most } else { first })
            }
        };
        let each = (first..=last).step_by(usize::from(step.unwrap_or(1)));
        Ok(each.fold(0, |bits, number| bits | 1 << number))
    }

    fn number(&self, text: &str) -> Result<u8, CronError> {
        if let Some(at) = self.names.iter().position(|name| *name == text) {
            return Ok(self.least + u8::try_from(at).unwrap_or(0));
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.filter(|number| (self.least..=self.most).contains(number)).ok_or_else(|| {
            let (least, most) = (self.least, self.most);
            let names = match self.names {
                [first, .., last] => format!(", or {first} to {last}"),
                _ => String::new(),
            };
            let forms = "lists such as 1,3, ranges such as 1-5 and steps such as */2";
            self.wrong(format!("`{text}` is not {least} to {most}{names}; there may be {forms}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(text: &str) -> Cron {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn words_names_steps_and_lists_mean_numbers() {
        for (a, b) in [
            ("@hourly", "0 * * * *"),
            ("@DAILY", "0 0 * * *"),
            ("@weekly", "0 0 * * 7"),
            ("@yearly", "0 0 1 jan *"),
            ("*/15 9-17 * * MON-FRI", "0,15,30,45 9,10,11,12,13,14,15,16,17 * * 1-5"),
            ("5/20 0 * * *", "5,25,45 0 * * *"),
            ("0 0 * * 5-7", "0 0 * * 0,5,6"),
            ("10-20/5,3 0 * feb,Dec *", "3,10,15,20 0 * 2,12 *"),
            (" 0  0\t1 * * ", "0 0 1 * *"),
        ] {
            assert_eq!(cron(a), cron(b), "{a}");
        }
        assert_ne!(cron("0 0 1 * 1"), cron("0 0 */31 * 1"), "alternatives, or both");
    }

    #[test]
    fn what_is_none_says_which_field_and_what_to_write() {
        for (text, says) in [
            ("* * * *", "this has 4"),
            ("0 0 0 * * *", "this has 6"),
            ("60 * * * *", "minute: `60` is not 0 to 59"),
            ("* 24 * * *", "hour: `24` is not 0 to 23"),
            ("* * 0 * *", "day of the month: `0` is not 1 to 31"),
            ("* * * 13 *", "or jan to dec"),
            ("* * * * 8", "day of the week: `8` is not 0 to 7, or sun to sat"),
            ("*/0 * * * *", "minute: `*/0`: after `/` stands a step of 1 or more"),
            ("30-10 * * * *", "goes backwards"),
            ("+5 * * * *", "`+5` is not"),
            ("1,,2 * * * *", "`` is not"),
            ("* * L * *", "`l` is not"),
            ("@noon", "@midnight"),
            ("0 0 31 2,4 *", "no such day ever comes"),
            ("", "this has 0"),
        ] {
            let error = text.parse::<Cron>().map(drop).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let long = format!("{}0 * * * *", "0,".repeat(400));
        assert_eq!(long.parse::<Cron>(), Err(CronError::Long));
    }
}
