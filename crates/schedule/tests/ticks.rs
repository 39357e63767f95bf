//! Ticks against a walk through every minute there is: another way to the same times, which asks
//! the clocks of the zone what they show and never the other way round.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use tasktonic_schedule::{CATCH_UP_MAX, CatchUp, Cron, ON_TIME_MS, Plan, Zone, turn};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Zones with every sort of change: an hour, half an hour, by night, at midnight, on the date line,
/// none.
const ZONES: [&str; 10] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Scoresbysund",
    "Africa/Cairo",
    "UTC",
];

/// Days around changes of clocks, and others.
const DAYS: [&str; 12] = [
    "2026-03-29",
    "2026-10-25",
    "2026-03-08",
    "2026-11-01",
    "2026-04-05",
    "2026-10-04",
    "2026-09-06",
    "2011-12-30",
    "2024-02-29",
    "2026-04-24",
    "2026-12-31",
    "2026-02-18",
];

/// A field as a set of numbers, with one way to write it.
fn field(least: u8, most: u8) -> impl Strategy<Value = (BTreeSet<u8>, String)> {
    let all = move || (least..=most).collect::<BTreeSet<u8>>();
    prop_oneof![
        2 => Just((all(), "*".to_owned())),
        1 => (2_u8..8).prop_map(move |step| {
            let set = (least..=most).step_by(step.into()).collect();
            (set, format!("*/{step}"))
        }),
        1 => (least..=most, least..=most).prop_map(|(a, b)| {
            let (a, b) = (a.min(b), a.max(b));
            ((a..=b).collect(), format!("{a}-{b}"))
        }),
        2 => proptest::collection::btree_set(least..=most, 1..4).prop_map(|set| {
            let texts: Vec<_> = set.iter().map(u8::to_string).collect();
            (set, texts.join(","))
        }),
    ]
}

/// Every tick in a span of time, by looking at each of its minutes.
fn walked(
    sets: &[(BTreeSet<u8>, String); 5],
    zone: &TimeZone,
    from_ms: i64,
    until_ms: i64,
) -> Vec<i64> {
    let [minutes, hours, days, months, weekdays] = sets;
    let both = days.1.starts_with('*') || weekdays.1.starts_with('*');
    let mut seen = HashSet::new();
    let mut ticks = Vec::new();
    // What clocks showed before counts: begin a day and a half earlier.
    let mut at_ms = (from_ms - 36 * HOUR_MS).div_euclid(MINUTE_MS) * MINUTE_MS;
    while at_ms <= until_ms {
        let shown = zone.to_datetime(Timestamp::from_millisecond(at_ms).unwrap());
        let has = |set: &BTreeSet<u8>, number: i8| set.contains(&u8::try_from(number).unwrap());
        let weekday = shown.weekday().to_sunday_zero_offset();
        let (day, of_week) = (has(&days.0, shown.day()), has(&weekdays.0, weekday));
        let named = has(&minutes.0, shown.minute())
            && has(&hours.0, shown.hour())
            && has(&months.0, shown.month())
            && if both { day && of_week } else { day || of_week };
        if seen.insert(shown) && named && at_ms > from_ms {
            ticks.push(at_ms);
        }
        at_ms += MINUTE_MS;
    }
    ticks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ticks_are_those_that_a_walk_through_every_minute_finds(
        minutes in field(0, 59), hours in field(0, 23), days in field(1, 31),
        months in field(1, 12), weekdays in field(0, 6),
        zone in proptest::sample::select(&ZONES[..]), day in proptest::sample::select(&DAYS[..]),
        offset_ms in -30 * HOUR_MS..30 * HOUR_MS,
    ) {
        let sets = [minutes, hours, days, months, weekdays];
        let text = sets.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ");
        let Ok(cron) = text.parse::<Cron>() else {
            // Only days that no month has are refused.
            prop_assume!(false);
            unreachable!()
        };
        let noon: Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
        let from_ms = noon.as_millisecond() + offset_ms;
        let until_ms = from_ms + 3 * DAY_MS;
        let plan = Plan::cron(cron, Zone::named(zone).unwrap());
        let expected = walked(&sets, &TimeZone::get(zone).unwrap(), from_ms, until_ms);
        let first = plan.next_after(from_ms);
        let found: Vec<i64> = std::iter::successors(first, |at| plan.next_after(*at))
            .take_while(|at| *at <= until_ms)
            .collect();
        prop_assert_eq!(&found, &expected, "{} in {}", text, zone);
        // And back.
        let last = plan.last_until(until_ms);
        let mut back: Vec<i64> = std::iter::successors(last, |at| plan.last_until(at - 1))
            .take_while(|at| *at > from_ms)
            .collect();
        back.reverse();
        prop_assert_eq!(back, expected, "back, {} in {}", text, zone);
    }

    #[test]
    fn an_interval_counts_from_its_beginning_and_keeps_within_its_bounds(
        every in 1_000_u64..90_000_000, from in -1_000_000_000_i64..1_000_000_000_000,
        after in -1_000_000_000_i64..2_000_000_000_000, ends in 1_i64..1_000_000_000,
    ) {
        let plan = Plan::every(every, from).unwrap();
        let step = i64::try_from(every).unwrap();
        let next = plan.next_after(after).unwrap();
        prop_assert!(next > after && next - after <= step && (next - from) % step == 0);
        prop_assert_eq!(plan.last_until(next), Some(next));
        prop_assert_eq!(plan.last_until(next - 1), Some(next - step));
        let bounded = plan.clone().between(Some(from), Some(from + ends));
        match bounded.next_after(after) {
            Some(at) => prop_assert!(at >= from && at < from + ends && at > after),
            None => prop_assert!(plan.next_after(after.max(from - 1)).unwrap() >= from + ends),
        }
    }

    #[test]
    fn every_missed_tick_is_made_up_for_as_the_policy_says(
        every in 1_000_u64..5_000, missed in 0_u32..250, late in 0_i64..200_000,
    ) {
        let step = i64::try_from(every).unwrap();
        let plan = Plan::every(every, 0).unwrap();
        let due = 10 * step;
        let now = due + i64::from(missed) * step + late;
        let ticks: Vec<i64> = (due..=now).filter(|at| at % step == 0).collect();
        for catch_up in [CatchUp::Skip, CatchUp::One, CatchUp::All] {
            let (mut fired, mut next) = (Vec::new(), Some(due));
            while let Some(at) = next.filter(|at| *at <= now) {
                let turn = turn(&plan, at, now, catch_up);
                fired.extend(turn.fires);
                prop_assert!(turn.next > next, "it goes on");
                prop_assert!(turn.passed.is_none_or(|passed| ticks.contains(&passed)));
                next = turn.next;
            }
            prop_assert_eq!(next, Some(ticks.last().unwrap() + step));
            let newest = *ticks.last().unwrap();
            match catch_up {
                CatchUp::Skip if now - newest > ON_TIME_MS => prop_assert_eq!(fired, vec![]),
                CatchUp::Skip | CatchUp::One => prop_assert_eq!(fired, vec![newest]),
                CatchUp::All => {
                    let kept = ticks.len().saturating_sub(CATCH_UP_MAX);
                    prop_assert_eq!(fired, &ticks[kept..]);
                }
            }
        }
    }

    #[test]
    fn any_other_text_is_refused_without_a_panic(text in ".{0,60}|[0-9*,/@a-z -]{0,40}") {
        if let Ok(cron) = text.parse::<Cron>() {
            let plan = Plan::cron(cron, Zone::named("UTC").unwrap());
            prop_assert!(!plan.words().is_empty());
            let _ = plan.next_after(0);
        }
    }
}

fn plan(cron: &str, zone: &str) -> Plan {
    Plan::cron(cron.parse().unwrap(), Zone::named(zone).unwrap())
}

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn after(plan: &Plan, from: &str, count: usize) -> Vec<String> {
    let ticks = plan.upcoming(ms(from), count);
    ticks.iter().map(|at| Timestamp::from_millisecond(*at).unwrap().to_string()).collect()
}

#[test]
fn an_hour_that_is_not_there_has_no_ticks() {
    // Clocks go from 02:00 to 03:00 on 29 March.
    let plan = plan("30 2 * * *", "Europe/Berlin");
    let ticks = after(&plan, "2026-03-27T12:00:00Z", 3);
    assert_eq!(ticks, ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]);
}

#[test]
fn an_hour_that_is_there_twice_has_its_ticks_once() {
    // Clocks go from 03:00 back to 02:00 on 25 October.
    let plan = plan("30 2 * * *", "Europe/Berlin");
    let ticks = after(&plan, "2026-10-24T12:00:00Z", 2);
    assert_eq!(ticks, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
}

#[test]
fn a_day_that_is_not_there_has_no_ticks() {
    // Samoa went over the date line: no 30 December 2011.
    let plan = plan("0 12 30 12 *", "Pacific/Apia");
    assert_eq!(after(&plan, "2011-12-01T00:00:00Z", 1), ["2012-12-29T22:00:00Z"]);
}

#[test]
fn a_day_that_comes_once_in_decades_is_found() {
    // 29 February on a Sunday: there is none from 2072 to 2112, as 2100 is no leap year.
    let plan = plan("0 0 29 2 */7", "UTC");
    let ticks = after(&plan, "2026-01-01T00:00:00Z", 3);
    assert_eq!(ticks, ["2032-02-29T00:00:00Z", "2060-02-29T00:00:00Z", "2088-02-29T00:00:00Z"]);
    assert_eq!(plan.last_until(ms("2032-02-28T00:00:00Z")), Some(ms("2004-02-29T00:00:00Z")));
}

#[test]
fn zones_are_found_by_name_and_others_refused() {
    assert_eq!(Zone::named("europe/berlin").unwrap().name(), "Europe/Berlin");
    for wrong in ["", "CET+1", "Mars/Olympus", "../etc/passwd", "+01:00"] {
        let error = Zone::named(wrong).map(drop).unwrap_err();
        assert!(error.to_string().contains("Europe/Berlin"), "{wrong}");
    }
}

#[test]
fn ticks_far_beyond_the_calendar_are_none_and_no_panic() {
    let plan = plan("* * * * *", "Asia/Kathmandu");
    for at in [i64::MIN, i64::MAX, 253_402_300_799_000, -377_705_023_201_000] {
        let _ = (plan.next_after(at), plan.last_until(at));
    }
    let every = Plan::every(1_000, i64::MIN).unwrap();
    assert_eq!(every.next_after(i64::MAX), None);
    assert!(Plan::every(999, 0).is_err() && Plan::every(u64::MAX, 0).is_err());
}
