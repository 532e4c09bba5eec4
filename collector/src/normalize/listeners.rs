//! Who waits for connections at which port, told apart by network.
//!
//! Containers have networks of their own, and the same port is waited at in many of them. What comes
//! to an address belongs to the listener in whose network that address is.

use super::fact::Who;
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;

/// Listeners of one port that are kept: those of a machine full of containers.
const SAME_PORT_MAX: usize = 256;

/// Networks whose addresses are kept.
const NETWORKS_MAX: usize = 4_096;

/// How long a network's addresses are not read again: they change seldom, and whoever connects to
/// others' containers must not make us read without end.
const FRESH_US: u64 = 1_000_000;

/// A network as its processes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The inode of its namespace.
    pub inode: u64,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy)]
struct Listener {
    who: Who,
    pid: u32,
    /// The inode of its network; `None` if it had ended before it could be asked.
    network: Option<u64>,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<IpAddr>,
    read_us: u64,
}

/// The listeners that were seen to begin.
#[derive(Debug)]
pub struct Listeners {
    look: fn(u32) -> Option<Network>,
    by_port: HashMap<u16, Vec<Listener>>,
    networks: HashMap<u64, Known>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self::looking(network_of)
    }
}

impl Listeners {
    /// `look` gives the network of a process.
    fn looking(look: fn(u32) -> Option<Network>) -> Self {
        Self {
            look,
            by_port: HashMap::new(),
            networks: HashMap::new(),
        }
    }

    /// Process `pid`, which is `who`, waits at a port from now on.
    pub fn begin(&mut self, port: u16, pid: u32, who: Who, at_us: u64) {
        let network = self.learn(pid, at_us);
        let same = self.by_port.entry(port).or_default();
        same.retain(|other| other.network != network || network.is_none());
        if same.len() >= SAME_PORT_MAX {
            same.remove(0);
        }
        same.push(Listener { who, pid, network });
    }

    /// Whether anybody waits at a port, in any network.
    #[must_use]
    pub fn is_at(&self, port: u16) -> bool {
        self.by_port.contains_key(&port)
    }

    /// Whose a connection is that comes to `ip` and `port`: the last who began to wait there in the network
    /// that has the address. [`Who::Nobody`] when the address is in another network.
    pub fn at(&mut self, ip: IpAddr, port: u16, at_us: u64) -> Who {
        let Some(same) = self.by_port.get(&port) else {
            return Who::Nobody;
        };
        if let Some(who) = self.in_network(same, ip) {
            return who;
        }
        // An address may have come since the network was read.
        let stale: Vec<u32> = same
            .iter()
            .filter(|one| {
                one.network
                    .and_then(|inode| self.networks.get(&inode))
                    .is_none_or(|known| at_us.saturating_sub(known.read_us) >= FRESH_US)
            })
            .map(|one| one.pid)
            .collect();
        for pid in stale {
            self.learn(pid, at_us);
        }
        let same = self.by_port.get(&port).map_or(&[][..], Vec::as_slice);
        self.in_network(same, ip)
            .or_else(|| {
                let unknown = same.iter().rev().find(|one| one.network.is_none());
                unknown.map(|one| one.who)
            })
            .unwrap_or(Who::Nobody)
    }

    fn in_network(&self, same: &[Listener], ip: IpAddr) -> Option<Who> {
        let has = |one: &&Listener| {
            let known = one.network.and_then(|inode| self.networks.get(&inode));
            known.is_some_and(|known| ip.is_loopback() || known.addresses.contains(&ip))
        };
        same.iter().rev().find(has).map(|one| one.who)
    }

    fn learn(&mut self, pid: u32, at_us: u64) -> Option<u64> {
        let network = (self.look)(pid)?;
        if self.networks.len() >= NETWORKS_MAX {
            self.networks.clear();
        }
        let known = Known {
            addresses: network.addresses,
            read_us: at_us,
        };
        self.networks.insert(network.inode, known);
        Some(network.inode)
    }
}

/// The network of a process, by proc(5); `None` when it is gone or may not be looked at.
fn network_of(pid: u32) -> Option<Network> {
    let inode = fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino();
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}"));
    let mut addresses = local_v4(&read("fib_trie").ok()?);
    addresses.extend(local_v6(&read("if_inet6").unwrap_or_default()));
    Some(Network { inode, addresses })
}

/// Local addresses in `fib_trie`: a leaf is `|-- 192.0.2.1`, and below it stands `/32 host LOCAL`.
fn local_v4(trie: &str) -> Vec<IpAddr> {
    let mut leaf = None;
    let mut found = Vec::new();
    for line in trie.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            leaf = address.trim().parse::<Ipv4Addr>().ok();
        } else if line.contains("/32 host LOCAL") {
            found.extend(leaf.map(IpAddr::V4));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Addresses in `if_inet6`: 32 hex digits begin a line.
fn local_v6(table: &str) -> Vec<IpAddr> {
    table
        .lines()
        .filter_map(|line| u128::from_str_radix(line.get(..32)?, 16).ok())
        .map(|bits| IpAddr::V6(Ipv6Addr::from(bits)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    /// Processes 10 to 19 are in network 1, which has the address 192.0.2.1, and so on; process 99 is gone.
    fn containers(pid: u32) -> Option<Network> {
        let number = u8::try_from(pid / 10).ok().filter(|_| pid != 99)?;
        Some(Network {
            inode: u64::from(number),
            addresses: vec![ip(number)],
        })
    }

    #[test]
    fn one_port_in_several_networks_has_several_listeners() {
        let mut listeners = Listeners::looking(containers);
        for pid in [10, 20, 21] {
            listeners.begin(22, pid, Who::Pid(pid), 1);
        }
        assert_eq!(listeners.at(ip(1), 22, 2), Who::Pid(10));
        assert_eq!(listeners.at(ip(2), 22, 2), Who::Pid(21));
        assert_eq!(listeners.at(ip(3), 22, 2), Who::Nobody);
        assert_eq!(listeners.at(ip(1), 80, 2), Who::Nobody);
        assert!(listeners.is_at(22) && !listeners.is_at(80));
    }

    #[test]
    fn a_listener_whose_network_is_unknown_is_the_last_resort() {
        let mut listeners = Listeners::looking(containers);
        listeners.begin(22, 99, Who::Pid(99), 1);
        listeners.begin(22, 10, Who::Pid(10), 1);
        assert_eq!(listeners.at(ip(1), 22, 2), Who::Pid(10));
        assert_eq!(listeners.at(ip(7), 22, 2), Who::Pid(99));
    }

    #[test]
    fn an_address_that_came_later_is_found() {
        use std::sync::atomic::{AtomicU8, Ordering};
        static LAST: AtomicU8 = AtomicU8::new(1);
        let mut listeners = Listeners::looking(|_| {
            Some(Network {
                inode: 1,
                addresses: vec![ip(LAST.load(Ordering::Relaxed))],
            })
        });
        listeners.begin(22, 10, Who::Pid(10), 0);
        LAST.store(5, Ordering::Relaxed);
        assert_eq!(listeners.at(ip(5), 22, FRESH_US - 1), Who::Nobody);
        assert_eq!(listeners.at(ip(5), 22, FRESH_US), Who::Pid(10));
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.0\n        /24 link UNICAST\n     |-- 192.0.2.1\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n";
        assert_eq!(local_v4(trie), [ip(1)]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(local_v6(table), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        assert!(local_v4("").is_empty() && local_v6("short\n").is_empty());
    }
}
