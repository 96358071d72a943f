//! What each address may do, and what is remembered of it.

use super::*;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

fn source(number: u32) -> Source {
    Source::of(IpAddr::V4(Ipv4Addr::from(number)))
}

fn sources(limits: Limits) -> Sources {
    Sources::new(limits, HashKey(1, 2))
}

#[test]
fn connections_of_one_address_are_bounded_and_others_unharmed() {
    let mut sources = sources(Limits {
        connections_per_address: 3,
        pending_connections: 8,
        ..Limits::UNLIMITED
    });
    let now = Instant::now();
    assert_eq!(sources.connect(now, source(1)), Ok(()));
    assert_eq!(sources.connect(now, source(1)), Ok(()));
    let pending = Err(ConnectionRefused::TooManyPending);
    assert_eq!(sources.connect(now, source(1)), pending, "a quarter of 8");
    sources.no_longer_pending(source(1));
    assert_eq!(sources.connect(now, source(1)), Ok(()));
    sources.no_longer_pending(source(1));
    let too_many = Err(ConnectionRefused::TooManyFromAddress);
    assert_eq!(sources.connect(now, source(1)), too_many);
    assert_eq!(sources.connect(now, source(2)), Ok(()));
    sources.disconnect(source(1), false);
    assert_eq!(sources.connect(now, source(1)), Ok(()));
}

/// Bytes that an address is granted if it asks for so many at a time, as often as it likes.
fn granted(sources: &mut Sources, now: Instant, source: Source, bytes: u32) -> u32 {
    let mut granted = 0;
    while sources.may_broadcast(now, source, bytes) {
        sources.broadcast(now, source, bytes);
        granted += bytes;
    }
    granted
}

#[test]
fn an_address_makes_everyone_read_so_much_and_all_together_a_bit_more() {
    let mut sources = sources(Limits {
        broadcast_bandwidth_per_address: 16_384,
        broadcast_bandwidth: 131_072,
        ..Limits::UNLIMITED
    });
    let start = Instant::now();
    for number in 0..50 {
        assert_eq!(sources.connect(start, source(number)), Ok(()));
    }
    // Of its own 128 KiB, the part that this leaves of all's 192 KiB.
    let first = granted(&mut sources, start, source(0), 100);
    assert_eq!(first, 78_600);
    let (mut all, mut others) = (first, Vec::new());
    for number in 1..40 {
        others.push(granted(&mut sources, start, source(number), 100));
        all += others[others.len() - 1];
    }
    assert!(others.is_sorted_by(|one, next| one >= next), "{others:?}");
    // With the reserve for those who have said little.
    assert!(all < 196_608 * 5 / 4);
    // An address that has said little may still say something.
    assert!(sources.may_broadcast(start, source(45), 100) || all > 196_000);
    let second = start + Duration::from_secs(1);
    assert!(sources.may_broadcast(second, source(46), 4_096));
    let mut sum = 0;
    for tenth in 1..600 {
        let now = start + Duration::from_millis(tenth * 100);
        sum += (0..50)
            .map(|it| granted(&mut sources, now, source(it), 100))
            .sum::<u32>();
    }
    assert!((131_072 * 58..131_072 * 62).contains(&sum), "{sum}");
}

/// Eight addresses use all there is, second for second, and one asks for a short message in each.
#[test]
fn those_who_say_much_keep_no_one_quiet_who_says_little() {
    let mut sources = sources(Limits {
        broadcast_bandwidth_per_address: 16_384,
        broadcast_bandwidth: 65_536,
        ..Limits::UNLIMITED
    });
    let start = Instant::now();
    for number in 0..9 {
        assert_eq!(sources.connect(start, source(number)), Ok(()));
    }
    for tenth in 0..600 {
        let now = start + Duration::from_millis(tenth * 100);
        for number in 1..9 {
            granted(&mut sources, now, source(number), 4_096);
        }
        if tenth % 10 == 0 {
            assert!(sources.may_broadcast(now, source(0), 200), "at {tenth}");
            sources.broadcast(now, source(0), 200);
        }
    }
}

/// Sixteen addresses ask all the time for the shortest event there is, and others for longer ones.
#[test]
fn small_messages_of_many_keep_no_one_quiet_either() {
    let mut sources = sources(Limits {
        broadcast_bandwidth_per_address: 16_384,
        broadcast_bandwidth: 131_072,
        ..Limits::UNLIMITED
    });
    let start = Instant::now();
    for number in 0..30 {
        assert_eq!(sources.connect(start, source(number)), Ok(()));
    }
    let mut loud = 0;
    for ms in (0..60_000).step_by(10) {
        let now = start + Duration::from_millis(ms);
        for number in 10..26 {
            loud += u64::from(granted(&mut sources, now, source(number), 44));
        }
        let quiet = source(ms as u32 / 1_000 % 10);
        if ms % 1_000 == 0 {
            assert!(sources.may_broadcast(now, quiet, 1_200), "at {ms}");
            sources.broadcast(now, quiet, 1_200);
        }
    }
    // The reserve is no second budget.
    let all = loud + 60 * 1_200;
    assert!(all < 131_072 * 60 + 196_608 * 5 / 4, "{all}");
    assert!(all > 131_072 * 60, "{all}");
}

#[test]
fn the_reserve_goes_past_no_addresss_own_budget() {
    let mut sources = sources(Limits {
        broadcast_bandwidth_per_address: 1,
        broadcast_bandwidth: 1_000_000,
        ..Limits::UNLIMITED
    });
    let now = Instant::now();
    assert_eq!(sources.connect(now, source(0)), Ok(()));
    let own = granted(&mut sources, now, source(0), 100);
    assert!(own <= 2 * BROADCAST_BYTES_MAX, "{own}");
}

#[test]
fn who_comes_too_often_is_refused_for_a_while_however_often_it_asks() {
    let mut sources = sources(Limits {
        connection_rate: 30,
        ..Limits::default()
    });
    let start = Instant::now();
    let too_often = Err(ConnectionRefused::TooOften);
    for _ in 0..60 {
        assert_eq!(sources.connect(start, source(1)), Ok(()));
        sources.disconnect(source(1), true);
    }
    for second in 0..60 {
        let now = start + Duration::from_secs(second);
        assert_eq!(sources.connect(now, source(1)), too_often, "{second}");
        assert_eq!(sources.connect(now, source(second as u32 + 2)), Ok(()));
    }
    let later = start + REFUSAL_TIME;
    for _ in 0..30 {
        assert_eq!(sources.connect(later, source(1)), Ok(()));
        sources.disconnect(source(1), true);
    }
    assert_eq!(sources.connect(later, source(1)), too_often);
}

#[test]
fn who_is_gone_is_remembered_within_a_bound_and_who_is_there_always() {
    let mut sources = sources(Limits {
        connection_rate: 1,
        ..Limits::default()
    });
    let now = Instant::now();
    assert_eq!(sources.connect(now, source(0)), Ok(()));
    let many = 2 * SOURCES_REMEMBERED_MAX as u32;
    for number in 1..=many {
        for _ in 0..3 {
            if sources.connect(now, source(number)).is_ok() {
                sources.disconnect(source(number), true);
            }
        }
    }
    assert_eq!(sources.entries.len(), SOURCES_REMEMBERED_MAX + 1);
    assert_eq!(sources.idle.len(), SOURCES_REMEMBERED_MAX);
    let too_often = Err(ConnectionRefused::TooOften);
    assert_eq!(sources.connect(now, source(many)), too_often);
    sources.disconnect(source(0), true);
    assert_eq!(sources.entries.len(), SOURCES_REMEMBERED_MAX);
}
