//! Decides which network addresses an input may be fetched from.
//!
//! It judges addresses only, never names: a name is resolved first, and then each of its addresses is judged. The
//! ranges are those of IANA's registries of special-purpose addresses for IPv4 and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether inputs may be fetched from an address by users who must not reach the server's own networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// A host on the public internet.
    Public,
    /// The machine itself or a network around it: only if the operator allows it.
    Private,
    /// An address without a host that serves files, or a link-local one, where clouds hand out credentials: never
    /// allowed.
    Never,
}

/// Judges an address. An address that wraps an IPv4 address is judged by the IPv4 address.
pub(crate) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_of_v4(address),
        IpAddr::V6(address) => reach_of_v6(address),
    }
}

fn reach_of_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // "This network" (Linux connects 0.0.0.0 to itself), link-local, multicast, reserved, broadcast.
        [0, ..] | [169, 254, ..] | [224..=255, ..] => Reach::Never,
        // Loopback, private networks, carrier NAT, protocol assignments, documentation, 6to4 relays, benchmarks.
        [127 | 10, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_of_v6(address: Ipv6Addr) -> Reach {
    if address.is_loopback() {
        return Reach::Private;
    }
    let [first, second, third, .., seventh, eighth] = address.segments();
    let wrapped = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // IPv4-mapped, IPv4-translated and IPv4-compatible (including the unspecified address).
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0, 0, 0, 0, 0, 0, ..] => {
            wrapped(seventh, eighth)
        }
        // NAT64 and 6to4 lead to an IPv4 host.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => wrapped(seventh, eighth),
        [0x2002, ..] => wrapped(second, third),
        // Link-local, site-local (the predecessor of unique-local), multicast.
        [0xfe80..=0xffff, ..] => Reach::Never,
        // Unique-local, protocol assignments with Teredo, documentation.
        [0xfc00..=0xfdff, ..] | [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Private,
        // The only block from which hosts get their addresses.
        _ if (0x2000..0x4000).contains(&first) => Reach::Public,
        _ => Reach::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are(wanted: Reach, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(reach(address.parse().unwrap()), wanted, "{address}");
        }
    }

    #[test]
    fn internet_hosts_are_public() {
        are(
            Reach::Public,
            &["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"],
        );
        are(
            Reach::Public,
            &["128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255"],
        );
        are(Reach::Public, &["192.0.1.1", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"]);
        are(
            Reach::Public,
            &[
                "2606:4700::1111",
                "2001:200::1",
                "2a00::1",
                "::ffff:1.1.1.1",
                "64:ff9b::1.1.1.1",
                "2002:101:101::",
            ],
        );
    }

    #[test]
    fn networks_around_the_server_are_private() {
        are(Reach::Private, &["127.0.0.1", "127.255.255.255", "10.0.0.0", "10.255.255.255"]);
        are(Reach::Private, &["172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"]);
        are(Reach::Private, &["100.64.0.0", "100.127.255.255", "192.0.0.170", "192.0.2.1", "198.51.100.7"]);
        are(Reach::Private, &["203.0.113.9", "192.88.99.1", "198.18.0.1", "198.19.255.255"]);
        are(Reach::Private, &["::1", "fc00::1", "fd00:ec2::254", "fdff::1", "2001::1", "2001:1ff::1"]);
        are(Reach::Private, &["2001:db8::1", "3fff::1", "3fff:fff::1"]);
    }

    #[test]
    fn hostless_and_link_local_addresses_are_never_reached() {
        are(Reach::Never, &["0.0.0.0", "0.1.2.3", "169.254.0.1", "169.254.169.254"]);
        are(Reach::Never, &["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"]);
        are(Reach::Never, &["::", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1"]);
        are(Reach::Never, &["100::1", "64:ff9b:1::1", "5f00::1", "4000::1", "1fff::1"]);
    }

    #[test]
    fn wrapped_address_is_judged_by_its_content() {
        are(Reach::Private, &["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:192.168.0.1"]);
        are(Reach::Private, &["64:ff9b::10.1.2.3", "2002:7f00:1::", "2002:c0a8:1::1"]);
        are(Reach::Never, &["::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::"]);
        are(Reach::Never, &["::ffff:0.0.0.0", "::ffff:224.0.0.1", "::ffff:255.255.255.255"]);
    }
}
