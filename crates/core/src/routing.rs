//! Which partition a user belongs to.

use xxhash_rust::xxh3::xxh3_64;

use crate::ids::UserId;

/// One share of the key space. Everything of one user is in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

/// The partition of `user` among `partitions`: xxh3-64 with seed 0 of the id, modulo the count.
///
/// # Panics
/// If `partitions` is 0.
#[must_use]
pub fn partition_of(user: &UserId, partitions: u16) -> PartitionId {
    let share = xxh3_64(user.as_str().as_bytes()) % u64::from(partitions);
    PartitionId(u16::try_from(share).expect("a remainder of a u16 fits a u16"))
}

/// Hash slots of a Redis Cluster.
pub const SLOTS: u16 = 16_384;
/// The most partitions a store may have.
pub const PARTITIONS_MAX: u16 = 256;

/// The hash tag of partition `p` among `partitions`: two digits of `p`, and the shortest suffix
/// that puts the tag into the `p`-th of as many equal ranges of slots. So any number of masters
/// with contiguous ranges gets partitions as evenly as they divide.
///
/// # Panics
/// If `p` is not below `partitions`, or there are more than [`PARTITIONS_MAX`].
#[must_use]
pub fn tag(p: PartitionId, partitions: u16) -> String {
    assert!(p.0 < partitions && partitions <= PARTITIONS_MAX, "{p:?} of {partitions}");
    let bound = |n: u16| u32::from(n) * u32::from(SLOTS) / u32::from(partitions);
    let range = bound(p.0)..bound(p.0 + 1);
    let base = format!("{:02}", p.0);
    let mut suffixes = suffixes();
    loop {
        let tag = format!("{base}{}", suffixes.next().expect("there is no longest suffix"));
        if range.contains(&u32::from(slot(&tag))) {
            return tag;
        }
    }
}

/// The empty text, then every text of lower-case letters, shorter ones first.
fn suffixes() -> impl Iterator<Item = String> {
    (0_u64..).map(|mut number| {
        // Bijective base 26: 0 is the empty text, 1 is `a`, 27 is `aa`.
        let mut text = Vec::new();
        while number > 0 {
            number -= 1;
            text.push(b'a' + u8::try_from(number % 26).expect("below 26"));
            number /= 26;
        }
        text.iter().rev().map(|byte| char::from(*byte)).collect()
    })
}

/// The hash slot of a tag: CRC-16/XMODEM modulo [`SLOTS`] (Redis Cluster specification).
#[must_use]
pub fn slot(tag: &str) -> u16 {
    let mut crc = 0_u16;
    for byte in tag.bytes() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // From CLUSTER KEYSLOT of a real server.
        assert_eq!([slot("foo"), slot("bar"), slot("123456789")], [12_182, 5_061, 12_739]);
    }

    #[test]
    fn tags_are_short_distinct_and_each_in_its_range() {
        for partitions in [1, 2, 3, 8, 16, 64, PARTITIONS_MAX] {
            let tags: Vec<_> = (0..partitions).map(|p| tag(PartitionId(p), partitions)).collect();
            assert!(tags.iter().all(|tag| tag.len() <= 6), "{tags:?}");
            let slots: Vec<_> = tags.iter().map(|tag| slot(tag)).collect();
            assert!(slots.is_sorted_by(|a, b| a < b), "one range after the other");
            let masters = 3.min(partitions);
            let of = |slot: u16| u32::from(slot) * u32::from(masters) / u32::from(SLOTS);
            for master in 0..u32::from(masters) {
                let share = slots.iter().filter(|slot| of(**slot) == master).count();
                let even = usize::from(partitions / masters);
                assert!((even..=even + 1).contains(&share), "{share} of {partitions}");
            }
        }
    }

    #[test]
    fn users_spread_evenly_and_always_land_in_the_same_place() {
        let mut counts = [0_u32; 8];
        for i in 0..8_000 {
            let user = UserId::encode(&format!("user-{i}"));
            let PartitionId(at) = partition_of(&user, 8);
            assert_eq!(partition_of(&user, 8), PartitionId(at));
            counts[usize::from(at)] += 1;
        }
        assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
    }
}
