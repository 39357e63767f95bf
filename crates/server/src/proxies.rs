//! Who stands between us and a client: the proxies whose word about the client is believed, and
//! which of the addresses they name is the client's. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Addresses that one request may name; of a longer list only the last ones are looked at.
const HOPS_MAX: usize = 32;

/// A network of addresses, e.g. `10.0.0.0/8`, `fd00::/8` or one address alone. An IPv4 address is
/// in it also when it comes mapped into IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network; write an address, or an address and its bits as in 10.0.0.0/8")]
pub struct NetworkError(String);

impl Network {
    /// The machine itself.
    pub const LOOPBACK: [Self; 2] = [
        Self { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), bits: 8 },
        Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), bits: 128 },
    ];

    /// Whether an address is in it.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let bad = || NetworkError(text.to_owned());
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => bits_max,
            Some(bits) => {
                let number: u8 = bits.parse().map_err(|_| bad())?;
                // One network, one spelling.
                if number > bits_max || number.to_string() != bits {
                    return Err(bad());
                }
                number
            }
        };
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Whether an address is one of a trusted proxy.
pub(crate) fn is_trusted(trusted: &[Network], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.holds(address))
}

/// The client of a connection from `remote` whose `X-Forwarded-For` lines are `named`: the last
/// address on the way to us that is no trusted proxy's. What stands before it was written by
/// whoever sits there, and is not looked at. Where only proxies are named, the first of them asks
/// for itself.
pub(crate) fn client<'a>(
    trusted: &[Network],
    remote: IpAddr,
    named: impl DoubleEndedIterator<Item = &'a str>,
) -> IpAddr {
    let mut last = remote;
    let hops = named.rev().flat_map(|line| line.rsplit(','));
    for hop in hops.map(str::trim).filter(|hop| !hop.is_empty()).take(HOPS_MAX) {
        if !is_trusted(trusted, last) {
            break;
        }
        // A proxy that names no address is the last that is known.
        let Some(before) = address_of(hop) else { break };
        last = before;
    }
    last
}

/// `address`, `address:port`, `[address]` or `[address]:port`.
fn address_of(hop: &str) -> Option<IpAddr> {
    let plain = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    plain.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn v4() -> impl Strategy<Value = IpAddr> {
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into()))
    }

    fn v6() -> impl Strategy<Value = IpAddr> {
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into()))
    }

    proptest! {
        #[test]
        fn whatever_a_client_writes_it_is_known_by_the_address_it_came_from(
            lies in prop::collection::vec("[0-9a-f.:, ]{0,40}", 0..4),
            client_at in prop_oneof![v4(), v6()],
            proxies in prop::collection::vec((0_u32..1 << 24).prop_map(|n| IpAddr::V4((0x0a00_0000 | n).into())), 1..4),
        ) {
            let trusted = networks(&["10.0.0.0/8"]);
            prop_assume!(!is_trusted(&trusted, client_at));
            // Each proxy adds who spoke to it; the last one speaks to us.
            let mut lines = lies;
            lines.push(client_at.to_string());
            lines.extend(proxies[..proxies.len() - 1].iter().map(ToString::to_string));
            let remote = *proxies.last().unwrap();
            let found = client(&trusted, remote, lines.iter().map(String::as_str));
            prop_assert_eq!(found, client_at);
            let joined = lines.join(", ");
            prop_assert_eq!(client(&trusted, remote, [joined.as_str()].into_iter()), client_at);
            // Without a proxy of ours in between, nothing that is written counts.
            let direct = client(&trusted, client_at, lines.iter().map(String::as_str));
            prop_assert_eq!(direct, client_at);
        }

        #[test]
        fn a_network_holds_exactly_what_shares_its_bits(a in v4(), b in v4(), bits in 0_u8..=32) {
            let network: Network = format!("{a}/{bits}").parse().unwrap();
            let (IpAddr::V4(x), IpAddr::V4(y)) = (a, b) else { unreachable!() };
            let same = bits == 0 || (x.to_bits() ^ y.to_bits()) >> (32 - u32::from(bits)) == 0;
            prop_assert_eq!(network.holds(b), same);
            prop_assert!(network.holds(a));
            let IpAddr::V4(plain) = a else { unreachable!() };
            prop_assert!(network.holds(plain.to_ipv6_mapped().into()));
        }

        #[test]
        fn the_same_for_the_long_ones(a in v6(), bits in 0_u8..=128, flip in 0_u32..128) {
            let network: Network = format!("{a}/{bits}").parse().unwrap();
            let IpAddr::V6(x) = a else { unreachable!() };
            let other = Ipv6Addr::from(x.to_bits() ^ (1_u128 << (127 - flip)));
            prop_assume!(other.to_ipv4_mapped().is_none() && x.to_ipv4_mapped().is_none());
            prop_assert_eq!(network.holds(other.into()), flip >= u32::from(bits));
        }

        #[test]
        fn no_text_breaks_the_reader(lines in prop::collection::vec("\\PC{0,60}", 0..4)) {
            let all = lines.iter().map(String::as_str);
            client(&Network::LOOPBACK, ip("127.0.0.1"), all);
            let _ = lines.first().map(|text| text.parse::<Network>());
        }
    }

    #[test]
    fn the_last_hop_that_is_no_proxy_is_the_client() {
        let trusted = networks(&["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"]);
        for (remote, named, expected) in [
            ("198.51.100.7", "127.0.0.1", "198.51.100.7"),
            ("127.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
            ("127.0.0.1", "6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
            ("127.0.0.1", "203.0.113.9:4711, [fd00::5]:80", "203.0.113.9"),
            ("127.0.0.1", "[2001:db8::1]", "2001:db8::1"),
            ("127.0.0.1", "unknown, 10.1.2.3", "10.1.2.3"),
            ("127.0.0.1", "10.0.0.9", "10.0.0.9"),
            ("127.0.0.1", " , ", "127.0.0.1"),
            ("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ] {
            let found = client(&trusted, ip(remote), [named].into_iter());
            assert_eq!(found, ip(expected), "{remote} names {named}");
        }
    }

    #[test]
    fn a_network_has_one_spelling() {
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/08", "10.0.0/8", "a", "10.0.0.0/", "/8"]
        {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert_eq!("10.0.0.1".parse::<Network>().unwrap().to_string(), "10.0.0.1/32");
    }
}
