//! Bans that come and go: lists are drawn from the addresses that there are, written as a person would, and put into force
//! as the loop does it.

use super::World;
use crate::chance::Chance;
use crate::model::{Ban, bits_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use voiceapp_server::bans::BanList;

impl World {
    /// A list of some of those who are here, or an empty one.
    pub fn change_bans(&mut self) {
        let mut bans = Vec::new();
        let mut text = String::new();
        let serials = self.serials();
        for _ in 0..self.chance.pick(&[0, 0, 1, 2, 6]).min(serials.len()) {
            let someone = &self.clients[&self.chance.pick(&serials)];
            let (address, voice) = (someone.address.ip(), someone.voice.ip());
            let ip = self.chance.pick(&[address, voice]);
            let (ban, line) = ban_around(ip, &mut self.chance);
            bans.push(ban);
            text.push_str(&line);
        }
        self.set_bans(bans, &text);
    }

    pub fn set_bans(&mut self, bans: Vec<Ban>, text: &str) {
        self.log.add(|| format!("bans: {text:?}"));
        let list = BanList::parse(text).expect("every line is well formed");
        for ip in bans.iter().flat_map(edges) {
            let is_banned = bans.iter().any(|ban| ban.has(ip));
            assert_eq!(list.contains(ip), is_banned, "{ip}");
        }
        self.tap.get().next_bans = bans;
        self.core.set_bans(list.clone());
        self.bans = list;
    }
}

/// A ban of this address or of a network around it, and its line in the list.
fn ban_around(ip: IpAddr, chance: &mut Chance) -> (Ban, String) {
    let bits = bits_of(ip);
    let is_v4 = bits >> 32 == 0xffff;
    let len = match chance.below(60) {
        0 => 0,
        1 => 96,
        2..30 => 128,
        _ if is_v4 => chance.pick(&[104, 120, 126, 127]),
        _ => chance.pick(&[32, 48, 64, 127]),
    };
    let first = bits & mask(len);
    let ban = Ban { bits: first, len };
    let v6 = Ipv6Addr::from_bits(first);
    let v4 = Ipv4Addr::from_bits(first as u32);
    let as_v4 = is_v4 && len >= 96 && chance.percent(70);
    let (entry, len) = if as_v4 {
        (v4.to_string(), len - 96)
    } else {
        (v6.to_string(), len)
    };
    let is_address = ban.len == 128 && chance.percent(60);
    let suffix = if is_address {
        String::new()
    } else {
        format!("/{len}")
    };
    let end = chance.pick(&["\n", " # rude\n", "\r\n", "\n\n", "\n# the next\n"]);
    let start = chance.pick(&["", "  "]);
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
