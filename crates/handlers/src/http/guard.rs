//! Where a request may go: an address is looked at after its name was resolved, and the connection
//! is made to the very address that was looked at.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::Deserialize;
use tasktonic_worker::Failure;

/// Where `http.request` may go beside public addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Anywhere, this machine and its network included. Whoever may submit tasks may then talk to
    /// everything this machine can reach.
    pub allow_private: bool,
    /// Names and addresses that may be private.
    pub allow_hosts: Vec<String>,
}

/// An address that is none of the public ones.
#[derive(Debug, thiserror::Error)]
#[error("leads to an address that is not public")]
pub(super) struct NotPublic;

/// A name that leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("looking up {name}")]
pub(super) struct Unresolved {
    /// The name.
    pub(super) name: String,
    source: io::Error,
}

impl HttpConfig {
    fn allows(&self, host: &str) -> bool {
        let plain = |host: &str| {
            host.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase()
        };
        let host = plain(host);
        self.allow_private || self.allow_hosts.iter().any(|allowed| plain(allowed) == host)
    }

    /// Looks at all of an address that can be looked at before its name is resolved.
    pub(super) fn check(&self, url: &Url) -> Result<(), Failure> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::fatal(
                "url_refused",
                "Only http and https addresses can be called.",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::fatal(
                "url_refused",
                "The address holds a name or a password. Send them in a header instead.",
            ));
        }
        let Some(host) = url.host_str() else {
            return Err(Failure::fatal("url_refused", "The address names no host."));
        };
        // Addresses in numbers are not resolved, so the resolver below never sees them.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !is_public(address) && !self.allows(host) => Err(refused(host)),
            _ => Ok(()),
        }
    }
}

pub(super) fn refused(host: &str) -> Failure {
    Failure::fatal(
        "address_refused",
        format!(
            "{host} {NotPublic}. Whoever runs this installation can allow it: [handlers.http] allow_hosts."
        ),
    )
}

/// Resolves names to addresses that may be connected to.
pub(super) struct Vetted(pub(super) Arc<HttpConfig>);

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let config = self.0.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0))
                .await
                .map_err(|source| Unresolved { name: host.to_owned(), source })?
                .collect();
            let public: Vec<SocketAddr> = if config.allows(host) {
                found
            } else {
                found.into_iter().filter(|address| is_public(address.ip())).collect()
            };
            if public.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the whole internet: not of this machine, a private network, a
/// link, a carrier, a group, a test or a document. Of IPv6 only 2000::/3 is; IPv4 addresses inside
/// of IPv6 ones (mapped, NAT64, 6to4, Teredo) are refused as such.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Special purposes, Teredo and documents; 6to4.
        [0x2001, 0..=0x01FF | 0x0DB8, ..] | [0x2002, ..] => false,
        // Documents.
        [0x3FFF, 0..=0x0FFF, ..] => false,
        [first, ..] => first >> 13 == 0b001,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::a00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    ];
    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "128.0.0.1",
        "169.253.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.0.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00::1",
        "2001:200::1",
        "3ffe::1",
    ];

    #[test]
    fn only_public_addresses_pass() {
        for address in REFUSED {
            assert!(!is_public(address.parse().unwrap()), "{address} passed");
        }
        for address in PUBLIC {
            assert!(is_public(address.parse().unwrap()), "{address} was refused");
        }
    }

    #[test]
    fn numbers_written_in_odd_ways_are_the_same_addresses() {
        let config = HttpConfig::default();
        for url in [
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0/",
            "http://127.0.0.1./",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://[0:0:0:0:0:ffff:127.0.0.1]:80/",
            "https://169.254.169.254/latest/meta-data/",
            "http://１２７.０.０.１/",
            "http://[fe80::1]/",
        ] {
            let refused = config.check(&Url::parse(url).unwrap());
            assert!(
                matches!(&refused, Err(Failure::Final(error)) if error.code == "address_refused"),
                "{url}: {refused:?}"
            );
        }
    }

    #[test]
    fn other_schemes_and_passwords_are_refused() {
        for url in [
            "file:///etc/passwd",
            "ftp://example.com/",
            "gopher://example.com/",
            "http://me:s3cret@example.com/",
            "http://me@example.com/",
        ] {
            let Err(Failure::Final(error)) = HttpConfig::default().check(&Url::parse(url).unwrap())
            else {
                panic!("{url} passed");
            };
            assert_eq!(error.code, "url_refused");
            assert!(!error.message.contains("s3cret"));
        }
    }

    #[test]
    fn hosts_are_allowed_by_name_or_address_and_no_others() {
        let config = HttpConfig {
            allow_hosts: vec!["Intranet".into(), "10.0.0.7".into(), "::1".into()],
            ..HttpConfig::default()
        };
        assert!(config.allows("intranet") && config.allows("intranet.") && config.allows("[::1]"));
        assert!(!config.allows("intranet.example.com") && !config.allows("10.0.0.8"));
        assert!(config.check(&Url::parse("http://10.0.0.7/").unwrap()).is_ok());
        assert!(config.check(&Url::parse("http://[::1]:8080/").unwrap()).is_ok());
        assert!(config.check(&Url::parse("http://10.0.0.8/").unwrap()).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused_unless_allowed() {
        let name = || "localhost".parse::<Name>().unwrap();
        let error = Vetted(Arc::default()).resolve(name()).await.err().unwrap();
        assert!(error.downcast_ref::<NotPublic>().is_some(), "{error}");
        let allowed = HttpConfig { allow_hosts: vec!["localhost".into()], ..HttpConfig::default() };
        assert!(Vetted(Arc::new(allowed)).resolve(name()).await.is_ok());
    }
}
