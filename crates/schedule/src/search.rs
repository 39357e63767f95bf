//! The tick after a time, and the one before it.
//!
//! What the clocks show is gone through day by day. Each minute that an expression names becomes
//! the time at which clocks show it first; these rise with the minutes, whatever clocks do.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use crate::HORIZON_YEARS;
use crate::cron::Cron;

/// The time at which clocks of `zone` first show `shown`; absent where they never do.
fn first_shown(zone: &TimeZone, shown: DateTime) -> Option<i64> {
    let timestamp = zone.to_ambiguous_timestamp(shown);
    match timestamp.offset() {
        AmbiguousOffset::Gap { .. } => None,
        _ => timestamp.earlier().ok().map(Timestamp::as_millisecond),
    }
}

fn names(cron: &Cron, date: Date) -> bool {
    cron.has_day(date.month(), date.day(), date.weekday().to_sunday_zero_offset())
}

/// The next day that may have ticks, at the first of the month where a whole month has none.
fn day_after(cron: &Cron, date: Date) -> Option<Date> {
    let next = date.tomorrow().ok()?;
    if cron.months >> next.month() & 1 == 1 {
        return Some(next);
    }
    next.first_of_month().checked_add(1.month()).ok()
}

fn day_before(cron: &Cron, date: Date) -> Option<Date> {
    let last = date.yesterday().ok()?;
    if cron.months >> last.month() & 1 == 1 {
        return Some(last);
    }
    last.first_of_month().yesterday().ok()
}

/// The set bits of `bits` from `least` on.
fn up(bits: u64, least: u32) -> impl Iterator<Item = u32> {
    (least..64).filter(move |at| bits >> at & 1 == 1)
}

/// The set bits of `bits` down from `most`.
fn down(bits: u64, most: u32) -> impl Iterator<Item = u32> {
    (0..=most).rev().filter(move |at| bits >> at & 1 == 1)
}

fn at(date: Date, hour: u32, minute: u32) -> DateTime {
    let small = |number: u32| i8::try_from(number).expect("below 60");
    date.at(small(hour), small(minute), 0, 0)
}

fn shown(zone: &TimeZone, ms: i64) -> Option<DateTime> {
    Some(zone.to_datetime(Timestamp::from_millisecond(ms).ok()?))
}

/// The first tick after `after_ms`.
pub(crate) fn next(cron: &Cron, zone: &TimeZone, after_ms: i64) -> Option<i64> {
    // No minute before what clocks show now has its time ahead.
    let from = shown(zone, after_ms)?;
    let last = from.date().checked_add(i32::from(HORIZON_YEARS).years()).ok()?;
    let mut date = Some(from.date());
    while let Some(day) = date.filter(|day| *day <= last) {
        let is_first = day == from.date();
        if names(cron, day) {
            let first_hour = if is_first { number(from.hour()) } else { 0 };
            for hour in up(cron.hours, first_hour) {
                let on = is_first && hour == first_hour;
                let first_minute = if on { number(from.minute()) } else { 0 };
                for minute in up(cron.minutes, first_minute) {
                    match first_shown(zone, at(day, hour, minute)) {
                        Some(at_ms) if at_ms > after_ms => return Some(at_ms),
                        _ => {}
                    }
                }
            }
        }
        date = day_after(cron, day);
    }
    None
}

/// The last tick that is not after `until_ms`.
pub(crate) fn last(cron: &Cron, zone: &TimeZone, until_ms: i64) -> Option<i64> {
    let mut from = shown(zone, until_ms)?;
    // Where clocks were put back, they have shown later minutes before.
    if let AmbiguousOffset::Fold { before, after } = zone.to_ambiguous_timestamp(from).offset() {
        let back = i64::from(before.seconds() - after.seconds());
        from = from.checked_add(back.seconds()).ok()?;
    }
    let first = from.date().checked_sub(i32::from(HORIZON_YEARS).years()).ok()?;
    let mut date = Some(from.date());
    while let Some(day) = date.filter(|day| *day >= first) {
        let is_first = day == from.date();
        if names(cron, day) {
            let last_hour = if is_first { number(from.hour()) } else { 23 };
            for hour in down(cron.hours, last_hour) {
                let on = is_first && hour == last_hour;
                let last_minute = if on { number(from.minute()) } else { 59 };
                for minute in down(cron.minutes, last_minute) {
                    match first_shown(zone, at(day, hour, minute)) {
                        Some(at_ms) if at_ms <= until_ms => return Some(at_ms),
                        _ => {}
                    }
                }
            }
        }
        date = day_before(cron, day);
    }
    None
}

fn number(of: i8) -> u32 {
    u32::try_from(of).expect("hours and minutes are not negative")
}
