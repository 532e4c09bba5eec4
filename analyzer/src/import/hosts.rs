//! One host, one name: logs call it by its full name, by its short name, in either case.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The names of hosts as logs have them, and what they are settled to.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    numbers: HashMap<Vec<u8>, u32>,
    names: Vec<Vec<u8>>,
    events: Vec<u64>,
    last: u32,
}

impl Hosts {
    /// The number of a name.
    pub(super) fn number(&mut self, name: &[u8]) -> u32 {
        if self
            .names
            .get(self.last as usize)
            .is_none_or(|last| last != name)
        {
            self.last = match self.numbers.get(name) {
                Some(&number) => number,
                None => {
                    let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                    self.numbers.insert(name.to_vec(), number);
                    self.names.push(name.to_vec());
                    self.events.push(0);
                    number
                }
            };
        }
        if let Some(events) = self.events.get_mut(self.last as usize) {
            *events += 1;
        }
        self.last
    }

    /// The name that each is settled to. Names that differ in case alone are one host; a short name
    /// is that of the one full name that begins with it. A host with one full name goes by its
    /// short one. `known` are names by which hosts are called elsewhere: they win.
    pub(super) fn settle(&self, known: &[String]) -> Vec<Vec<u8>> {
        let mut full: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
        let elsewhere = known.iter().map(|name| name.as_bytes().to_vec());
        for name in self.names.iter().cloned().chain(elsewhere) {
            let lower = name.to_ascii_lowercase();
            let names = full.entry(short(&lower).to_vec()).or_default();
            if short(&lower) != lower {
                names.insert(lower);
            }
        }
        let group = |name: &[u8]| {
            let lower = name.to_ascii_lowercase();
            let names = full.get(short(&lower));
            if names.is_some_and(|names| names.len() > 1) {
                lower
            } else {
                short(&lower).to_vec()
            }
        };
        let mut best: BTreeMap<Vec<u8>, (u64, Vec<u8>)> = BTreeMap::new();
        for (name, &events) in self.names.iter().zip(&self.events) {
            let group = group(name);
            let own = name.get(..group.len()).unwrap_or(name).to_vec();
            let better = (events, own);
            let kept = best.entry(group).or_insert_with(|| better.clone());
            // Of as many events the name that sorts first, so that the order of files is nothing.
            if better.0 > kept.0 || (better.0 == kept.0 && better.1 < kept.1) {
                *kept = better;
            }
        }
        for name in known {
            best.insert(group(name.as_bytes()), (u64::MAX, name.as_bytes().to_vec()));
        }
        let settled = |name: &Vec<u8>| {
            best.get(&group(name))
                .map_or_else(|| name.clone(), |(_, settled)| settled.clone())
        };
        self.names.iter().map(settled).collect()
    }
}

impl Hosts {
    /// Of the hosts of one file, those whose short name is that of several hosts elsewhere, but of
    /// one in this file: with the name that this one was settled to.
    pub(super) fn settle_in(
        &self,
        file: &BTreeSet<u32>,
        settled: &[Vec<u8>],
    ) -> Vec<(u32, Vec<u8>)> {
        let name = |host: u32| self.names.get(host as usize);
        let lower = |host: u32| name(host).map(|name| name.to_ascii_lowercase());
        let mut own = Vec::new();
        for &host in file {
            let Some(bare) = lower(host).filter(|name| short(name) == name.as_slice()) else {
                continue;
            };
            let full: BTreeSet<&Vec<u8>> = file
                .iter()
                .filter(|&&other| {
                    lower(other).is_some_and(|other| other != bare && short(&other) == bare)
                })
                .filter_map(|&other| settled.get(other as usize))
                .collect();
            if let (1, Some(&only)) = (full.len(), full.first())
                && settled.get(host as usize) != Some(only)
            {
                own.push((host, only.clone()));
            }
        }
        own
    }
}

/// The first label of a host's name. An address is no name of labels.
fn short(name: &[u8]) -> &[u8] {
    let is_address =
        std::str::from_utf8(name).is_ok_and(|text| text.parse::<std::net::IpAddr>().is_ok());
    let end = name.iter().position(|&byte| byte == b'.');
    match end {
        Some(end) if end > 0 && !is_address => name.get(..end).unwrap_or(name),
        Some(_) | None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(names: &[&str], known: &[&str]) -> Vec<String> {
        let mut hosts = Hosts::default();
        for name in names {
            hosts.number(name.as_bytes());
        }
        let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
        let names = hosts.settle(&known);
        names
            .into_iter()
            .map(|name| String::from_utf8(name).unwrap())
            .collect()
    }

    #[test]
    fn full_short_and_other_case_are_one_host() {
        assert_eq!(
            settled(&["DC-1.example.test", "dc-1", "DC-1"], &[]),
            ["DC-1", "DC-1", "DC-1"]
        );
        assert_eq!(settled(&["a.b.test"], &[]), ["a"]);
    }

    #[test]
    fn two_full_names_are_two_hosts() {
        assert_eq!(
            settled(&["web.a.test", "web.b.test", "web", "WEB.A.TEST"], &[]),
            ["WEB.A.TEST", "web.b.test", "web", "WEB.A.TEST"]
        );
    }

    #[test]
    fn a_short_name_is_that_of_its_own_file() {
        let mut hosts = Hosts::default();
        let mut number = |name: &str| hosts.number(name.as_bytes());
        let (a, b, bare) = (number("web.a.test"), number("web.b.test"), number("web"));
        let settled = hosts.settle(&[]);
        let one = hosts.settle_in(&BTreeSet::from([a, bare]), &settled);
        assert_eq!(one, [(bare, b"web.a.test".to_vec())]);
        assert_eq!(hosts.settle_in(&BTreeSet::from([a, b, bare]), &settled), []);
        assert_eq!(hosts.settle_in(&BTreeSet::from([bare]), &settled), []);
    }

    #[test]
    fn addresses_are_not_shortened_and_names_used_elsewhere_win() {
        assert_eq!(
            settled(&["192.0.2.7", "2001:db8::1"], &[]),
            ["192.0.2.7", "2001:db8::1"]
        );
        assert_eq!(
            settled(&["WEB"], &["web.example.test"]),
            ["web.example.test"]
        );
    }
}
