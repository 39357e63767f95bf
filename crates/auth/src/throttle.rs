//! How often one may try to sign in: per account and per address, so that neither many addresses
//! against one account nor one address against many accounts gets far. Never knows passwords, and
//! never keeps a name: only keyed hashes of them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;

use parking_lot::Mutex;

/// Names, and addresses, that are remembered at most; those with the least debt are forgotten
/// first.
pub const ENTRIES_MAX: usize = 65_536;
/// Tries for one account at once.
pub const ACCOUNT_BURST: u32 = 10;
/// Then one more every this many ms.
pub const ACCOUNT_EVERY_MS: i64 = 10_000;
/// Tries from one address (IPv6: from one /64) at once.
pub const ADDRESS_BURST: u32 = 30;
/// Then one more every this many ms.
pub const ADDRESS_EVERY_MS: i64 = 2_000;

/// How long to wait before the next try, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many tries to sign in; wait {} seconds and try again", self.seconds())]
pub struct RetryAfterMs(pub i64);

impl RetryAfterMs {
    /// The wait in whole seconds, for `Retry-After`.
    #[must_use]
    pub fn seconds(self) -> i64 {
        (self.0 + 999) / 1_000
    }
}

/// A rate: so many at once, then one per interval (GCRA).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tries at once.
    pub burst: u32,
    /// Interval of further tries, ms.
    pub every_ms: i64,
}

/// Remembers tries. Shared by all threads.
#[derive(Debug)]
pub struct Throttle {
    hasher: RandomState,
    tables: Mutex<Tables>,
    account: Rate,
    address: Rate,
    entries_max: usize,
}

/// When each entry will be without debt again, ms.
#[derive(Debug, Default)]
struct Tables {
    accounts: HashMap<u64, i64>,
    addresses: HashMap<u64, i64>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(Self::ACCOUNT, Self::ADDRESS, ENTRIES_MAX)
    }
}

impl Throttle {
    /// A throttle with these rates, that remembers `entries_max` names and as many addresses.
    #[must_use]
    pub fn new(account: Rate, address: Rate, entries_max: usize) -> Self {
        let entries_max = entries_max.max(8);
        Self { hasher: RandomState::new(), tables: Mutex::default(), account, address, entries_max }
    }

    /// The rate of one account.
    pub const ACCOUNT: Rate = Rate { burst: ACCOUNT_BURST, every_ms: ACCOUNT_EVERY_MS };
    /// The rate of one address.
    pub const ADDRESS: Rate = Rate { burst: ADDRESS_BURST, every_ms: ADDRESS_EVERY_MS };

    /// Counts one try from `address` alone, for those who count accounts elsewhere. A refused try
    /// counts for nothing.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check_address(&self, address: IpAddr, now_ms: i64) -> Result<(), RetryAfterMs> {
        let address = self.hasher.hash_one(network(address));
        let mut tables = self.tables.lock();
        let known = tables.addresses.get(&address).copied();
        let due = self.address.next(known, now_ms)?;
        put(&mut tables.addresses, address, due, now_ms, self.entries_max);
        Ok(())
    }

    /// Takes back one [`Throttle::check_address`]: the try was refused elsewhere.
    pub fn uncount_address(&self, address: IpAddr) {
        let address = self.hasher.hash_one(network(address));
        if let Some(until) = self.tables.lock().addresses.get_mut(&address) {
            *until = until.saturating_sub(self.address.every_ms);
        }
    }

    /// Counts one try to sign in as `name` from `address`; call it before the password is looked
    /// at. Names are compared as accounts are. A refused try counts for nothing.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(&self, name: &str, address: IpAddr, now_ms: i64) -> Result<(), RetryAfterMs> {
        let name = self.hasher.hash_one(name.trim().to_ascii_lowercase());
        let address = self.hasher.hash_one(network(address));
        let mut tables = self.tables.lock();
        let account_due = self.account.next(tables.accounts.get(&name).copied(), now_ms);
        let address_due = self.address.next(tables.addresses.get(&address).copied(), now_ms);
        let (account_due, address_due) = match (account_due, address_due) {
            (Ok(account), Ok(address)) => (account, address),
            (Err(a), Err(b)) => return Err(RetryAfterMs(a.0.max(b.0))),
            (Err(wait), _) | (_, Err(wait)) => return Err(wait),
        };
        put(&mut tables.accounts, name, account_due, now_ms, self.entries_max);
        put(&mut tables.addresses, address, address_due, now_ms, self.entries_max);
        Ok(())
    }

    /// Forgets the tries for `name`: the password was right.
    pub fn forgive(&self, name: &str) {
        let name = self.hasher.hash_one(name.trim().to_ascii_lowercase());
        self.tables.lock().accounts.remove(&name);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let tables = self.tables.lock();
        tables.accounts.len().max(tables.addresses.len())
    }
}

impl Rate {
    /// When whoever is in debt until then (absent: not at all) will be without debt after one more
    /// try at `now_ms`.
    ///
    /// # Errors
    /// How long to wait for it.
    pub fn next(self, debt_until_ms: Option<i64>, now_ms: i64) -> Result<i64, RetryAfterMs> {
        let span_ms = self.every_ms.saturating_mul(self.burst.into());
        // A clock that was set back must not lock anybody out for longer than the whole burst.
        let latest = now_ms.saturating_add(span_ms);
        let from = debt_until_ms.unwrap_or(now_ms).clamp(now_ms, latest);
        let until = from.saturating_add(self.every_ms);
        if until <= latest { Ok(until) } else { Err(RetryAfterMs(until - latest)) }
    }
}

/// An IPv6 customer owns a /64; a mapped IPv4 address is that IPv4 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

fn put(table: &mut HashMap<u64, i64>, key: u64, until: i64, now_ms: i64, max: usize) {
    if table.len() >= max && !table.contains_key(&key) {
        table.retain(|_, until| *until > now_ms);
        if table.len() >= max {
            // Whoever is being attacked has the most debt and stays.
            let mut debts: Vec<i64> = table.values().copied().collect();
            let (_, least, _) = debts.select_nth_unstable(max / 8);
            let least = *least;
            let mut rest = max / 8;
            table.retain(|_, until| {
                let drop = *until <= least && rest > 0;
                rest -= usize::from(drop);
                !drop
            });
        }
    }
    table.insert(key, until);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn v6(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn v4(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(n).into()
    }

    proptest! {
        #[test]
        fn no_more_than_burst_and_rate_pass_and_waiting_helps(
            steps in prop::collection::vec(0_i64..20_000, 1..200),
        ) {
            let throttle = Throttle::default();
            let (mut now, mut passed) = (1_000_000, Vec::<i64>::new());
            for (n, step) in (0..).zip(steps) {
                now += step;
                match throttle.check("ada", v4(n), now) {
                    Ok(()) => passed.push(now),
                    Err(wait) => {
                        prop_assert!(wait.0 > 0 && wait.0 <= ACCOUNT_EVERY_MS, "{wait:?}");
                        let just_before = throttle.check("ada", v4(n), now + wait.0 - 1);
                        prop_assert!(just_before.is_err());
                        now += wait.0;
                        prop_assert!(throttle.check(" ADA", v4(n), now).is_ok());
                        passed.push(now);
                    }
                }
            }
            for (at, from) in passed.iter().enumerate() {
                for (count, until) in (1..).zip(&passed[at..]) {
                    let allowed = i64::from(ACCOUNT_BURST) + (until - from) / ACCOUNT_EVERY_MS;
                    prop_assert!(count <= allowed, "{count} in {} ms", until - from);
                }
            }
        }
    }

    #[test]
    fn one_address_against_many_accounts_is_throttled() {
        let throttle = Throttle::default();
        for n in 0..ADDRESS_BURST {
            throttle.check(&format!("user{n}"), HOME, 0).unwrap();
        }
        let wait = throttle.check("one more", HOME, 0).unwrap_err();
        assert_eq!(wait, RetryAfterMs(ADDRESS_EVERY_MS));
        throttle.check("one more", v4(7), 0).unwrap();
    }

    #[test]
    fn a_refused_try_costs_nothing_and_forgiveness_clears_the_account() {
        let throttle = Throttle::default();
        for n in 0..ACCOUNT_BURST {
            throttle.check("ada", v4(n), 0).unwrap();
        }
        for n in 0..1_000 {
            assert_eq!(throttle.check("ada", v4(99), n / 1_000).unwrap_err().seconds(), 10);
        }
        throttle.check("bob", v4(99), 0).expect("the refused tries did not count for the address");
        throttle.forgive("Ada ");
        throttle.check("ada", v4(1), 0).unwrap();
    }

    #[test]
    fn an_address_can_be_counted_alone_and_a_try_refused_elsewhere_taken_back() {
        let throttle = Throttle::default();
        for _ in 0..ADDRESS_BURST {
            throttle.check_address(HOME, 0).unwrap();
        }
        let wait = throttle.check_address(HOME, 0).unwrap_err();
        assert_eq!(wait, RetryAfterMs(ADDRESS_EVERY_MS));
        throttle.uncount_address(HOME);
        throttle.check_address(HOME, 0).unwrap();
        throttle.uncount_address(v4(77));
    }

    #[test]
    fn an_ipv6_customer_is_one_address_and_a_mapped_one_is_its_ipv4() {
        assert_eq!(network(v6("2001:db8:1:2::1")), network(v6("2001:db8:1:2:ffff::9")));
        assert_ne!(network(v6("2001:db8:1:2::1")), network(v6("2001:db8:1:3::1")));
        assert_eq!(network(v6("::ffff:192.0.2.1")), HOME);
    }

    #[test]
    fn a_flood_of_names_stays_bounded_and_does_not_free_the_attacked_account() {
        let throttle = Throttle::new(
            Rate { burst: 5, every_ms: 10_000 },
            Rate { burst: 5, every_ms: 10_000 },
            100,
        );
        for n in 0..5 {
            throttle.check("ada", v4(n), 0).unwrap();
        }
        for n in 100..5_000 {
            throttle.check(&format!("noise{n}"), v4(n), i64::from(n % 7)).unwrap();
            assert!(throttle.len() <= 100, "{} entries", throttle.len());
        }
        assert!(throttle.check("ada", v4(9), 10).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_for_long() {
        let throttle = Throttle::default();
        for n in 0..ACCOUNT_BURST {
            throttle.check("ada", v4(n), 1_000_000_000).unwrap();
        }
        let wait = throttle.check("ada", HOME, 0).unwrap_err();
        assert!(wait.0 <= ACCOUNT_EVERY_MS, "{wait:?}");
    }
}
