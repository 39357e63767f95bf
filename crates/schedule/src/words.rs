//! A rule in plain words, for people who do not read cron. Where an expression is odd, the words
//! are long; they always say all of it.

use crate::cron::Cron;

const HOURS: u64 = (1 << 24) - 1;
const MINUTES: u64 = (1 << 60) - 1;
const DAYS: u64 = ((1 << 32) - 1) & !1;
const MONTHS: u64 = ((1 << 13) - 1) & !1;
const WEEKDAYS: u64 = (1 << 7) - 1;
/// Times of the day that are listed; of more, hours and minutes are told apart.
const TIMES_MAX: u32 = 6;

const WEEKDAY_NAMES: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTH_NAMES: [&str; 13] = [
    "",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `every 15 minutes`
pub(crate) fn every(ms: i64) -> String {
    for (unit_ms, unit) in
        [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")]
    {
        if ms % unit_ms == 0 {
            return match ms / unit_ms {
                1 => format!("every {unit}"),
                count => format!("every {count} {unit}s"),
            };
        }
    }
    format!("every {ms} ms")
}

pub(crate) fn cron(cron: &Cron) -> String {
    let mut text = time(cron);
    let days = days(cron);
    if !days.is_empty() {
        text.push(' ');
        text.push_str(&days);
    }
    if cron.months != MONTHS {
        text.push_str(" in ");
        text.push_str(&list(&ranges(cron.months, |at| MONTH_NAMES[at as usize].to_owned())));
    }
    text
}

fn bits(set: u64) -> Vec<u32> {
    (0..64).filter(|at| set >> at & 1 == 1).collect()
}

/// `a`, `a and b`, `a, b and c`
fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The numbers of a set, three or more in a row as `a to b`.
fn ranges(set: u64, name: impl Fn(u32) -> String) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rows: Vec<(u32, u32)> = Vec::new();
    for at in bits(set) {
        match rows.last_mut() {
            Some((_, last)) if *last + 1 == at => *last = at,
            _ => rows.push((at, at)),
        }
    }
    for (first, last) in rows {
        if last - first >= 2 {
            parts.push(format!("{} to {}", name(first), name(last)));
        } else {
            parts.extend((first..=last).map(&name));
        }
    }
    parts
}

/// The step of a set that begins at 0 and goes on to the end of `count` evenly.
fn step(set: u64, count: u32) -> Option<u32> {
    let all = bits(set);
    let step = *all.get(1)?;
    let even: Vec<u32> = (0..count).step_by(step as usize).collect();
    (all == even && count.is_multiple_of(step)).then_some(step)
}

fn time(cron: &Cron) -> String {
    let (minutes, hours) = (bits(cron.minutes), bits(cron.hours));
    let one_minute = match minutes[..] {
        [minute] => Some(minute),
        _ => None,
    };
    if cron.minutes.count_ones() * cron.hours.count_ones() <= TIMES_MAX {
        let times: Vec<_> = hours
            .iter()
            .flat_map(|hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}")))
            .collect();
        return format!("at {}", list(&times));
    }
    let past = match (cron.minutes, one_minute) {
        (MINUTES, _) => "every minute".to_owned(),
        (_, Some(minute)) => format!("at minute {minute}"),
        (set, None) => match step(set, 60) {
            Some(step) => format!("every {step} minutes"),
            None => format!("at minutes {}", list(&ranges(set, |at| at.to_string()))),
        },
    };
    match (cron.hours, one_minute) {
        (HOURS, Some(0)) => "every hour".to_owned(),
        (HOURS, Some(minute)) => format!("at minute {minute} of every hour"),
        (HOURS, None) if past.starts_with("every") => past,
        (HOURS, None) => format!("{past} of every hour"),
        (set, of) => match (step(set, 24), of) {
            (Some(step), Some(0)) => format!("every {step} hours"),
            (Some(step), _) => format!("{past} of every {step}{} hour", ordinal(step)),
            (None, _) => {
                let of = ranges(set, |hour| format!("{hour:02}:00"));
                format!("{past} in the hours of {}", list(&of))
            }
        },
    }
}

fn ordinal(number: u32) -> &'static str {
    match (number % 10, number % 100) {
        (1, at) if at != 11 => "st",
        (2, at) if at != 12 => "nd",
        (3, at) if at != 13 => "rd",
        _ => "th",
    }
}

fn days(cron: &Cron) -> String {
    let of_month = list(&ranges(cron.days, |day| day.to_string()));
    let plural = if cron.days.count_ones() > 1 { "days" } else { "day" };
    let of_month = format!("on {plural} {of_month} of the month");
    let of_week = match cron.weekdays {
        0b100_0001 => "on Saturday and Sunday".to_owned(),
        set => {
            format!("on {}", list(&ranges(set, |day| WEEKDAY_NAMES[day as usize].to_owned())))
        }
    };
    match (cron.days == DAYS, cron.weekdays == WEEKDAYS) {
        (true, true) => String::new(),
        (false, true) if cron.both => of_month,
        (true, false) if cron.both => of_week,
        // Alternatives of which one is always so.
        (_, true) | (true, _) => String::new(),
        (false, false) if cron.both => format!("{of_month} if it is {}", &of_week[3..]),
        (false, false) => format!("{of_month} and {of_week}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn expressions_are_told_in_plain_words() {
        for (text, words) in [
            ("0 9 * * 1-5", "at 09:00 on Monday to Friday"),
            ("* * * * *", "every minute"),
            ("*/5 * * * *", "every 5 minutes"),
            ("@hourly", "every hour"),
            ("15 * * * *", "at minute 15 of every hour"),
            ("0 */2 * * *", "every 2 hours"),
            ("30 */3 * * *", "at minute 30 of every 3rd hour"),
            ("0,30 8,17 * * *", "at 08:00, 08:30, 17:00 and 17:30"),
            (
                "*/15 9-17 * * mon-fri",
                "every 15 minutes in the hours of 09:00 to 17:00 on Monday to Friday",
            ),
            ("0 0 1 * *", "at 00:00 on day 1 of the month"),
            ("0 0 1,15 jan,jul *", "at 00:00 on days 1 and 15 of the month in January and July"),
            ("0 6 * * 6,0", "at 06:00 on Saturday and Sunday"),
            ("0 12 13 * 5", "at 12:00 on day 13 of the month and on Friday"),
            ("0 12 */13 * fri", "at 12:00 on days 1, 14 and 27 of the month if it is Friday"),
            ("7,9,40 * * 2-4 *", "at minutes 7, 9 and 40 of every hour in February to April"),
        ] {
            assert_eq!(super::cron(&text.parse().unwrap()), words, "{text}");
        }
        for (ms, words) in [
            (1_000, "every second"),
            (90_000, "every 90 seconds"),
            (900_000, "every 15 minutes"),
            (129_600_000, "every 36 hours"),
            (86_400_000, "every day"),
            (1_500, "every 1500 ms"),
        ] {
            assert_eq!(super::every(ms), words);
        }
    }
}
