//! Who is let in: submits are refused while the memory of the partition's master is nearly full,
//! before Redis itself refuses anything. What workers say always goes on.

use crate::durability::Standing;

/// Share of a server's `maxmemory` above which submits are refused, in percent.
const FULL_PERCENT: u64 = 80;

/// Bytes above which submits are refused; absent where the server has no limit.
pub(crate) fn limit(of: &Standing) -> Option<u64> {
    (of.memory_max > 0).then(|| of.memory_max / 100 * FULL_PERCENT)
}

/// Whether submits to this server are refused.
pub(crate) fn is_full(of: &Standing) -> bool {
    limit(of).is_some_and(|limit| of.used > limit)
}

/// Bytes in use and their limit, of the server that is nearest to its own.
pub(crate) fn fullest(all: &[Standing]) -> Option<(u64, u64)> {
    let limits = all.iter().filter_map(|of| Some((of.used, limit(of)?)));
    limits.max_by_key(|(used, limit)| u128::from(*used) * 1_000 / u128::from((*limit).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_of_a_limit_are_full_and_no_limit_never_is() {
        let of = |used, memory_max| Standing { used, memory_max, ..Standing::default() };
        assert!(!is_full(&of(u64::MAX, 0)));
        assert!(!is_full(&of(800, 1_000)));
        assert!(is_full(&of(801, 1_000)));
        assert_eq!(fullest(&[of(10, 0), of(400, 1_000), of(90, 100)]), Some((90, 80)));
    }
}
