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

#[cfg(test)]
mod tests {
    use super::*;

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
