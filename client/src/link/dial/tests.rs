use super::*;
use std::io::ErrorKind;
use std::sync::Mutex;

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    let parse = |text: &&str| text.parse().expect("it is an address");
    texts.iter().map(parse).collect()
}

#[test]
fn an_address_that_swallows_what_it_is_sent_holds_up_no_other() {
    let all = addresses(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]);
    // The first answers when the second has, or much too late.
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let dial = move |address: &SocketAddr| match address.ip().to_string().as_str() {
        "192.0.2.1" => {
            let released = released.lock().expect("nobody panics with it");
            let _ = released.recv_timeout(Duration::from_secs(60));
            Ok(*address)
        }
        _ => Ok(*address),
    };
    let winner = race(all.clone(), Instant::now(), Arc::new(dial), &mut |_| {});
    assert_eq!(winner, Ok(all[1]));
    drop(release);
}

#[test]
fn when_none_answers_all_are_named() {
    let all = addresses(&["192.0.2.1:1", "192.0.2.2:1"]);
    let dial = |_: &SocketAddr| Err::<(), _>(ErrorKind::ConnectionRefused.into());
    let reason = race(all, Instant::now(), Arc::new(dial), &mut |_| {}).expect_err("none answers");
    assert_eq!(
        reason,
        "cannot connect to 192.0.2.1:1: connection refused, \
         cannot connect to 192.0.2.2:1: connection refused"
    );
}

#[test]
fn what_takes_long_is_told_once() {
    let all = addresses(&["192.0.2.1:1", "192.0.2.2:1"]);
    let (said, hears) = channel();
    let hears = Mutex::new(hears);
    // Nothing ends before it was told.
    let dial = move |_: &SocketAddr| {
        let told = hears.lock().expect("nobody panics with it").recv();
        told.map(|()| 5).map_err(|_| ErrorKind::TimedOut.into())
    };
    let mut told = Vec::new();
    let outcome = race(all, Instant::now(), Arc::new(dial), &mut |what| {
        told.push(what);
        said.send(()).expect("it is waited for");
    });
    assert_eq!(outcome, Ok(5));
    let all = "trying to connect to 192.0.2.1:1 and 192.0.2.2:1";
    assert_eq!(told, [all]);
}

#[test]
fn families_take_turns_and_keep_their_order() {
    let mut all = addresses(&["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1"]);
    take_turns(&mut all);
    let turns = addresses(&["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1"]);
    assert_eq!(all, turns);
}

#[test]
fn a_link_local_address_without_its_interface_is_explained() {
    let here = addresses(&["[fe80::1]:9001"])[0];
    let reason = explain(&here, &ErrorKind::InvalidInput.into());
    assert!(reason.contains("fe80::1%eth0"), "{reason}");
    let reason = connect("fe80::1", 9001, |_| {}).expect_err("it has no interface");
    assert!(reason.contains("fe80::1%eth0"), "{reason}");
    let elsewhere = addresses(&["[2001:db8::1]:9001"])[0];
    let reason = explain(&elsewhere, &ErrorKind::InvalidInput.into());
    assert!(!reason.contains("eth0"), "{reason}");
}
