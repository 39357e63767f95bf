//! Laws of refresh families: one token is good at a time, tabs share a successor, reuse is theft.

use proptest::prelude::*;
use tasktonic_auth::refresh::{
    ABSOLUTE_MS, Family, GRACE_MS, IDLE_MS, Rotation, SuccessorKey, family_of, start,
};

fn key() -> SuccessorKey {
    SuccessorKey::new([7; 32])
}

fn next(family: &mut Family, token: &str, now_ms: i64) -> String {
    match family.rotate(token, now_ms, &key()) {
        Rotation::Next { token, .. } => token,
        other => panic!("{other:?}"),
    }
}

#[test]
fn using_a_token_gives_the_next_and_the_record_round_trips() {
    let (mut family, first) = start("ada", 0);
    assert_eq!(family_of(&first), Some(family.id.as_str()));
    let second = next(&mut family, &first, 1_000);
    let json = serde_json::to_string(&family).unwrap();
    for token in [&first, &second] {
        let (_, secret) = token.split_once('.').unwrap();
        assert!(!json.contains(secret), "a record holds no secret");
        assert!(!format!("{family:?}").contains(&family.current_hash));
    }
    let mut read: Family = serde_json::from_str(&json).unwrap();
    assert_eq!(read, family);
    let third = next(&mut read, &second, 2_000);
    assert_ne!(third, second);
}

#[test]
fn two_tabs_that_renew_at_once_get_the_same_successor() {
    let (mut family, first) = start("ada", 0);
    let second = next(&mut family, &first, 1_000);
    let before = family.clone();
    for at in [1_000, 5_000, 1_000 + GRACE_MS - 1] {
        match family.rotate(&first, at, &key()) {
            Rotation::Same { token, .. } => assert_eq!(token, second, "at {at}"),
            other => panic!("{other:?} at {at}"),
        }
    }
    assert_eq!(family, before, "the record has not changed");
    assert!(family.knows(&first) && family.knows(&second));
}

#[test]
fn reuse_after_the_grace_is_theft() {
    let (mut family, first) = start("ada", 0);
    let second = next(&mut family, &first, 1_000);
    let late = family.clone().rotate(&first, 1_000 + GRACE_MS, &key());
    assert_eq!(late, Rotation::Reused);
    next(&mut family, &second, 2_000);
    assert_eq!(family.rotate(&first, 2_001, &key()), Rotation::Reused, "two steps behind");
}

#[test]
fn without_the_servers_key_no_secret_leads_to_the_next() {
    let (mut family, first) = start("ada", 0);
    let mut thief = family.clone();
    let guess = match thief.rotate(&first, 1, &SuccessorKey::new([8; 32])) {
        Rotation::Next { token, .. } => token,
        other => panic!("{other:?}"),
    };
    assert_ne!(next(&mut family, &first, 1), guess);
    assert_eq!(family.rotate(&guess, 2, &key()), Rotation::Reused);
}

#[test]
fn a_family_slides_for_thirty_days_and_ends_after_ninety() {
    let (mut family, mut token) = start("ada", 0);
    assert_eq!(family.clone().rotate(&token, IDLE_MS, &key()), Rotation::Expired);
    let day = 24 * 3_600 * 1_000;
    for days in 1..90 {
        token = next(&mut family, &token, days * day);
        assert!(family.expires_ms <= ABSOLUTE_MS);
    }
    assert_eq!(family.rest_s(89 * day), 24 * 3_600);
    assert_eq!(family.rotate(&token, ABSOLUTE_MS, &key()), Rotation::Expired);
}

#[test]
fn texts_that_are_no_tokens_belong_to_no_family() {
    let (_, token) = start("ada", 0);
    let padded = format!("{token}=");
    let long = "a".repeat(100_000);
    for text in ["", ".", "a.b", &padded, &token[1..], &token[..60], &long] {
        assert_eq!(family_of(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn at_any_time_one_token_is_good_and_every_other_is_refused(
        steps in prop::collection::vec(0_i64..30_000, 1..30),
        byte in 0_usize..66,
    ) {
        let (mut family, first) = start("ada", 0);
        let (mut tokens, mut now) = (vec![first], 0);
        for step in steps {
            now += step;
            let token = next(&mut family, tokens.last().unwrap(), now);
            prop_assert!(!tokens.contains(&token));
            tokens.push(token);
            for (behind, old) in tokens.iter().rev().enumerate().skip(2) {
                let verdict = family.clone().rotate(old, now, &key());
                prop_assert_eq!(verdict, Rotation::Reused, "{} behind", behind);
            }
        }
        let mut changed = tokens.pop().unwrap().into_bytes();
        let at = byte % changed.len();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        prop_assert_eq!(family.rotate(&changed, now, &key()), Rotation::Reused);
    }
}
