//! Banned addresses: a list that a person writes, one address or network a line.
//!
//! One list is read from the ban file, and an application adds networks of its own. The switchboard
//! asks it about every connection and every proof of an address.

use crate::limits::BANS_MAX;
use crate::quoted::Quoted;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Banned addresses and networks. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BanList {
    /// First and last addresses of one family, by rising first. No two of them meet.
    ranges: Box<[(IpAddr, IpAddr)]>,
}

/// An address, or all addresses of a network.
///
/// ```
/// use voiceapp_server::bans::Network;
///
/// let network: Network = "192.0.2.0/24".parse()?;
/// assert_eq!(network.to_string(), "192.0.2.0/24");
/// assert!("192.0.2.7/24".parse::<Network>().is_err(), "it has bits beyond its prefix");
/// # Ok::<(), voiceapp_server::bans::NetworkError>(())
/// ```
///
/// A client with one address of an IPv6 /64 has them all (RFC 4291, section 2.5.4): ban that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// Of one family, and the network's lowest.
    first: IpAddr,
    /// Its highest.
    last: IpAddr,
}

/// A text that is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError(String);

/// A line that is not a ban, or one too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanListError {
    line: usize,
    problem: String,
}

impl BanList {
    /// Reads a list: one IPv4 or IPv6 address or network in CIDR notation (RFC 4632, RFC 4291) a line,
    /// such as `192.0.2.1` or `2001:db8::/32`. What follows a `#` is a comment, and empty lines are
    /// skipped, as is the byte order mark with which some editors begin a file.
    ///
    /// # Errors
    ///
    /// [`BanListError`] for the first line that is something else, such as a network with bits beyond
    /// its prefix, or that comes after [`BANS_MAX`] others.
    pub fn parse(text: &str) -> Result<Self, BanListError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut ranges = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            let error = |problem| BanListError {
                line: index + 1,
                problem,
            };
            if ranges.len() == BANS_MAX {
                return Err(error(format!("there are more than {BANS_MAX} entries")));
            }
            let network: Network = entry
                .parse()
                .map_err(|NetworkError(problem)| error(problem))?;
            ranges.push((network.first, network.last));
        }
        Ok(BanList::of(ranges))
    }

    /// This list, and these networks.
    pub fn with(&self, networks: impl IntoIterator<Item = Network>) -> Self {
        let networks = networks.into_iter().map(|it| (it.first, it.last));
        BanList::of(self.ranges.iter().copied().chain(networks).collect())
    }

    fn of(mut ranges: Vec<(IpAddr, IpAddr)>) -> Self {
        // Mostly sorted already, where a list gets a few more: then this takes one pass.
        ranges.sort();
        ranges.dedup_by(|next, before| {
            // Every IPv4 address is before every IPv6 address.
            let meets = next.0 <= before.1;
            if meets {
                before.1 = before.1.max(next.1);
            }
            meets
        });
        BanList {
            ranges: ranges.into(),
        }
    }

    /// Whether this address is banned. An IPv4 address in its IPv6 form is the same address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        if self.ranges.is_empty() {
            return false;
        }
        let ip = ip.to_canonical();
        let before = self.ranges.partition_point(|&(first, _)| first <= ip);
        before > 0 && ip <= self.ranges[before - 1].1
    }

    /// How many ranges of addresses there are. Ranges that meet count as one.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl fmt::Display for BanListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for BanListError {}

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Network {
            first: ip,
            last: ip,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads an address, or a network in CIDR notation. A network of IPv4 addresses in their IPv6
    /// form counts as IPv4. A larger IPv6 network that contains such addresses does not.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(ip.into());
        }
        let Ok(net) = text.parse::<IpNet>() else {
            return Err(NetworkError(format!(
                "{} is neither an address nor a network such as 192.0.2.0/24 or 2001:db8::/32",
                Quoted(text)
            )));
        };
        if net.addr() != net.network() {
            let meant = net.trunc();
            return Err(NetworkError(format!(
                "{} has bits beyond its prefix: the network is {meant}",
                Quoted(text)
            )));
        }
        let (first, last) = (net.network(), net.broadcast());
        let as_ipv4 = (first.to_canonical(), last.to_canonical());
        let (first, last) = match as_ipv4 {
            (IpAddr::V4(_), IpAddr::V4(_)) => as_ipv4,
            _ => (first, last),
        };
        Ok(Network { first, last })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // They differ in the bits behind the prefix, and in each of them.
        let (len, behind) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                (32, (first.to_bits() ^ last.to_bits()).count_ones())
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                (128, (first.to_bits() ^ last.to_bits()).count_ones())
            }
            _ => unreachable!("a network is of one family"),
        };
        match behind {
            0 => self.first.fmt(f),
            _ => write!(f, "{}/{}", self.first, len - behind),
        }
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NetworkError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(list: &BanList, ip: &str) -> bool {
        list.contains(ip.parse().expect("an address"))
    }

    #[test]
    fn addresses_and_networks_of_both_families() {
        let list = BanList::parse(
            "# the neighbours\n\n192.0.2.7\n  198.51.100.0/24 # all of them\r\n2001:db8::/32\n::1\n\
             198.51.100.128/25\n",
        )
        .expect("every line is well formed");
        assert_eq!(list.len(), 4);
        for (ip, is_banned) in [
            ("192.0.2.6", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:192.0.2.7", true),
            ("198.51.99.255", false),
            ("198.51.100.0", true),
            ("198.51.100.255", true),
            ("198.51.101.0", false),
            ("2001:db7:ffff::", false),
            ("2001:db8::", true),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:db9::", false),
            ("::", false),
            ("::1", true),
            ("0.0.0.1", false),
        ] {
            assert_eq!(contains(&list, ip), is_banned, "{ip}");
        }
    }

    #[test]
    fn everyone_and_no_one() {
        let everyone = BanList::parse("0.0.0.0/0\n::/0").expect("both are networks");
        assert_eq!(everyone.len(), 2);
        assert!(contains(&everyone, "255.255.255.255") && contains(&everyone, "::"));
        assert!(contains(
            &everyone,
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        ));
        for text in ["", "\n\n", "# nobody", "  # nobody\n"] {
            assert_eq!(BanList::parse(text), Ok(BanList::default()));
        }
        assert!(!contains(&BanList::default(), "::"));
    }

    #[test]
    fn all_of_ipv6_is_not_ipv4_but_mapped_networks_are() {
        let ipv6 = BanList::parse("::/0").expect("it is a network");
        assert!(contains(&ipv6, "::fffe:192.0.2.1") && contains(&ipv6, "2001:db8::"));
        assert!(!contains(&ipv6, "192.0.2.1") && !contains(&ipv6, "::ffff:192.0.2.1"));
        let mapped = BanList::parse("::ffff:192.0.2.0/120").expect("it is a network");
        assert!(contains(&mapped, "192.0.2.255") && contains(&mapped, "::ffff:192.0.2.0"));
        assert!(!contains(&mapped, "192.0.3.0") && !contains(&mapped, "::ffff:192.0.3.0"));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, error) in [
            ("192.0.2", "line 1: \"192.0.2\" is neither"),
            ("::1\n\nhost.example", "line 3: \"host.example\" is neither"),
            ("192.0.2.0/33", "line 1: \"192.0.2.0/33\" is neither"),
            ("192.0.2.1 192.0.2.2", "line 1:"),
            (
                "192.0.2.1/24",
                "line 1: \"192.0.2.1/24\" has bits beyond its prefix: the network is 192.0.2.0/24",
            ),
            (
                "2001:db8::1/64",
                "line 1: \"2001:db8::1/64\" has bits beyond",
            ),
        ] {
            let found = BanList::parse(text).expect_err(text).to_string();
            assert!(found.starts_with(error), "{found}");
        }
    }

    #[test]
    fn a_bad_line_is_quoted_no_longer_than_it_takes_to_find_it() {
        let long = "x".repeat(4_000_000);
        let found = BanList::parse(&format!("::1\n{long}")).expect_err("it is no address");
        let found = found.to_string();
        assert!(found.starts_with("line 2: \"xxx"), "{found:.200}");
        assert!(found.contains("(4000000 bytes)"), "{found:.200}");
        assert!(found.len() < 300, "{} bytes", found.len());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let list = BanList::parse("\u{feff}192.0.2.7\r\n").expect("it is an address");
        assert!(contains(&list, "192.0.2.7"));
        let error = BanList::parse("::1\n\u{feff}::2").expect_err("it is in the middle");
        assert!(
            error.to_string().starts_with("line 2: \"\\u{feff}::2\""),
            "{error}"
        );
    }

    #[test]
    fn a_list_has_an_end() {
        let lines = |count: u32| -> String {
            let ips = (0..count).map(std::net::Ipv4Addr::from);
            ips.map(|ip| format!("{ip}\n")).collect()
        };
        assert!(BanList::parse(&lines(BANS_MAX as u32)).is_ok());
        let error = BanList::parse(&lines(BANS_MAX as u32 + 1)).expect_err("one too many");
        assert!(error.to_string().starts_with("line 100001: "), "{error}");
    }
}
