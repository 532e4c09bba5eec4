//! Socket addresses as audit has them: the bytes of a `struct sockaddr`, in hex.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::import::audit::fields::bytes_of_hex;

/// Where a socket is, or what it is spoken to by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// IPv4 or IPv6.
    Inet(IpAddr, u16),
    /// A path, or an abstract name, which begins with `@` here.
    Unix(Vec<u8>),
    /// The kernel.
    Netlink,
    /// Another family, by its number (`socket(2)`).
    Other(u16),
}

/// Reads the value of `saddr`. Its first two bytes are the family in the byte order of the host that
/// recorded it: families are below 256, so that the one that is not zero tells.
pub(super) fn read(saddr: &[u8]) -> Option<Address> {
    let mut bytes = Vec::with_capacity(saddr.len() / 2);
    bytes_of_hex(saddr, &mut bytes)?;
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let family = match family {
        [low, 0] => u16::from(*low),
        [0, low] => u16::from(*low),
        [low, high] => u16::from_le_bytes([*low, *high]),
    };
    match family {
        1 => Some(Address::Unix(unix_name(rest))),
        2 => {
            let (port, rest) = rest.split_first_chunk::<2>()?;
            let ip = rest.first_chunk::<4>()?;
            let ip = IpAddr::V4(Ipv4Addr::from(*ip));
            Some(Address::Inet(ip, u16::from_be_bytes(*port)))
        }
        10 => {
            let (port, rest) = rest.split_first_chunk::<2>()?;
            // Between port and address stands the flow.
            let ip = rest.get(4..)?.first_chunk::<16>()?;
            let ip = IpAddr::V6(Ipv6Addr::from(*ip));
            Some(Address::Inet(ip, u16::from_be_bytes(*port)))
        }
        16 => Some(Address::Netlink),
        other => Some(Address::Other(other)),
    }
}

/// A path ends at its NUL; what follows is what lay in memory. An abstract name begins with one.
fn unix_name(name: &[u8]) -> Vec<u8> {
    match name.split_first() {
        Some((0, rest)) => {
            let end = rest
                .iter()
                .rposition(|&byte| byte != 0)
                .map_or(0, |last| last + 1);
            let mut out = Vec::with_capacity(end + 1);
            if end > 0 {
                out.push(b'@');
            }
            out.extend_from_slice(rest.get(..end).unwrap_or_default());
            out
        }
        Some(_) | None => name
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_each_family() {
        let inet = read(b"02000050C00002010000000000000000").unwrap();
        assert_eq!(inet, Address::Inet("192.0.2.1".parse().unwrap(), 80));
        let six = read(b"0A0001BB0000000020010DB800000000000000000000000700000000").unwrap();
        assert_eq!(six, Address::Inet("2001:db8::7".parse().unwrap(), 443));
        assert_eq!(
            read(b"01002F72756E2F7800AABB"),
            Some(Address::Unix(b"/run/x".to_vec()))
        );
        assert_eq!(read(b"0100006162"), Some(Address::Unix(b"@ab".to_vec())));
        assert_eq!(read(b"0100"), Some(Address::Unix(Vec::new())));
        assert_eq!(read(b"100000000000000000000000"), Some(Address::Netlink));
        assert_eq!(read(b"11000800"), Some(Address::Other(17)));
        // Recorded on a big-endian machine.
        assert!(matches!(
            read(b"00020050C00002010000000000000000"),
            Some(Address::Inet(_, 80))
        ));
    }

    #[test]
    fn short_or_odd_bytes_are_none() {
        for saddr in [
            &b""[..],
            b"0",
            b"02",
            b"0200",
            b"02000050C000",
            b"0A000050",
            b"xyz1",
        ] {
            assert_eq!(read(saddr), None, "{}", saddr.escape_ascii());
        }
    }
}
