//! Bans that come and go: lists are drawn from the addresses that there are, written as a person
//! would, and put into force as the loop does it.

use crate::model_sources::{Ban, bits_of};
use crate::random::Random;
use crate::world::World;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use voiceapp_server::bans::BanList;

impl World {
    /// Now and then the list changes. Most of the time it is empty, as everything else needs people.
    pub fn change_bans(&mut self) {
        if !self.plan.has_bans || self.random.below(300) != 0 {
            return;
        }
        let mut bans = Vec::new();
        let mut text = String::new();
        for _ in 0..self.random.pick(&[0, 0, 0, 1, 2, 6]) {
            let someone = self.random.below(self.clients.len());
            let someone = &self.clients[someone];
            let ip = self.random.pick(&[someone.ip, someone.address.ip()]);
            let (ban, line) = ban_around(ip, &mut self.random);
            bans.push(ban);
            text.push_str(&line);
        }
        self.set_bans(bans, &text);
    }

    pub fn set_bans(&mut self, bans: Vec<Ban>, text: &str) {
        self.inputs += 1;
        self.note(|| format!("bans: {text:?}"));
        self.digest.bytes(text.as_bytes());
        let list = BanList::parse(text).expect("every line is well formed");
        let edges: Vec<IpAddr> = bans.iter().flat_map(edges).collect();
        self.model.set_bans(bans);
        for ip in edges {
            assert_eq!(list.contains(ip), self.model.is_banned(ip), "{ip}");
        }
        self.switchboard.set_bans(list, &mut self.outputs);
        let ends = self.hand_out();
        self.compare_tables();
        for (connection, cause) in ends {
            // The loop may have others to end before them, and voice to look at.
            if self.random.percent(50) && !self.is_ghost(connection) {
                let soon = Duration::from_micros(self.random.below(20_000) as u64);
                self.abandon(connection, cause, soon);
            } else {
                self.end(connection, cause);
            }
        }
    }
}

/// A ban of this address or of a network around it, and its line in the list.
fn ban_around(ip: IpAddr, random: &mut Random) -> (Ban, String) {
    let bits = bits_of(ip);
    let is_v4 = bits >> 32 == 0xffff;
    let len = match random.below(60) {
        0 => 0,
        1 => 96,
        2..30 => 128,
        _ if is_v4 => random.pick(&[104, 120, 126, 127]),
        _ => random.pick(&[32, 48, 64, 127]),
    };
    let first = bits & mask(len);
    let ban = Ban { bits: first, len };
    let v6 = Ipv6Addr::from_bits(first);
    let v4 = Ipv4Addr::from_bits(first as u32);
    let as_v4 = is_v4 && len >= 96 && random.percent(70);
    let (entry, len) = if as_v4 {
        (v4.to_string(), len - 96)
    } else {
        (v6.to_string(), len)
    };
    let is_address = ban.len == 128 && random.percent(60);
    let suffix = if is_address {
        String::new()
    } else {
        format!("/{len}")
    };
    let end = random.pick(&["\n", " # rude\n", "\r\n", "\n\n", "\n# the next\n"]);
    let start = random.pick(&["", "  "]);
    (ban, format!("{start}{entry}{suffix}{end}"))
}

fn mask(len: u32) -> u128 {
    match len {
        0 => 0,
        _ => u128::MAX << (128 - len),
    }
}

/// The first and last addresses of a ban, and those beside them.
fn edges(ban: &Ban) -> Vec<IpAddr> {
    let (first, last) = (ban.bits, ban.bits | !mask(ban.len));
    let edges = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
    let forms = edges.into_iter().flat_map(|bits| {
        let v6 = Ipv6Addr::from_bits(bits);
        let v4 = v6.to_ipv4_mapped().map(IpAddr::V4);
        [Some(IpAddr::V6(v6)), v4]
    });
    forms.flatten().collect()
}
