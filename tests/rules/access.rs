//! Who may log in: passwords, reserved names, and names that are in use (rule 16).

use crate::common::{EXTENDED, Person, World};
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::access::{Access, PasswordList, ReservedNames};
use voiceapp_server::cause::{Cause, Ended};
use voiceapp_server::protocol::{Asked, Password};
use voiceapp_server::secret::Secret;

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("it can be one")
}

fn closed() -> Access {
    let list = "friends sesame\nguests crackers until=1970-01-02\n";
    Access {
        passwords: PasswordList::parse(list).expect("it is a list"),
        ..Access::default()
    }
}

fn world(access: Access) -> World {
    let mut world = World::new(100);
    world.switchboard.set_access(access);
    world
}

const HOME: [u8; 4] = [192, 0, 2, 9];

/// Logs in with these from one address, and returns who that is or the answer.
fn attempt(
    world: &mut World,
    name: &str,
    password: Option<&str>,
    proof: Option<&str>,
) -> Result<Person, String> {
    let connection = world.try_connect_from(HOME.into()).expect("there is room");
    let asked = Asked {
        password: password.map(Password),
        name_proof: proof.map(Password),
        ..EXTENDED
    };
    let person = world.log_in_asking(connection, name, Some(asked));
    person.ok_or_else(|| {
        assert!(!world.is_connected(connection));
        world.heard(connection).concat()
    })
}

fn refused(answer: &str) -> Result<Person, String> {
    Err(format!("login refused [0] {answer}"))
}

#[test]
fn rule_16a_who_has_no_password_stays_outside() {
    let mut world = world(closed());
    let missing = refused("3 the server asks for a password");
    let wrong = refused("3 wrong password");
    assert_eq!(attempt(&mut world, "ann", None, None), missing);
    for guess in ["", "sesam", "sesame ", "friends", &"s".repeat(1_000)] {
        assert_eq!(
            attempt(&mut world, "ann", Some(guess), None),
            wrong,
            "{guess}"
        );
    }
    let old = world.connect();
    assert_eq!(world.log_in(old, "ann"), None);
    assert_eq!(world.heard(old), ["login refused"]);
    assert!(attempt(&mut world, "ann", Some("sesame"), None).is_ok());
    assert!(attempt(&mut world, "bob", Some("crackers"), None).is_ok());
    world.wait(Duration::from_secs(2 * 24 * 3_600));
    assert_eq!(attempt(&mut world, "bob", Some("crackers"), None), wrong);
    // Whoever is here stays, whatever the passwords are.
    let other = PasswordList::of_one(secret("other"));
    world.switchboard.set_passwords(other);
    assert_eq!(world.users(), 2);
    assert_eq!(attempt(&mut world, "bob", Some("sesame"), None), wrong);
    assert!(attempt(&mut world, "bob", Some("other"), None).is_ok());
    let counted = world.counted();
    assert!(
        counted.contains(&(Cause::LoginPasswordMissing, 2)),
        "{counted:?}"
    );
    assert!(
        counted.contains(&(Cause::LoginPasswordWrong, 7)),
        "{counted:?}"
    );
}

/// A stranger hears nothing of the server before the password: neither that it is full, nor who is there.
#[test]
fn rule_16a_the_password_comes_first() {
    let mut world = World::new(1);
    world.switchboard.set_access(Access {
        unique_names: true,
        ..closed()
    });
    assert!(attempt(&mut world, "ann", Some("sesame"), None).is_ok());
    let missing = refused("3 the server asks for a password");
    assert_eq!(attempt(&mut world, "ann", None, None), missing);
    let in_use = refused("5 the name is in use");
    assert_eq!(attempt(&mut world, "ann", Some("sesame"), None), in_use);
    let full = refused("2 the server is full");
    assert_eq!(attempt(&mut world, "bob", Some("sesame"), None), full);
}

#[test]
fn rule_16b_guesses_of_an_address_have_a_rate_and_right_ones_are_free() {
    let mut world = World::with(Limits {
        guess_rate: 6,
        connection_rate: 0,
        login_rate: 0,
        ..Limits::default()
    });
    world.switchboard.set_access(closed());
    let enter = |world: &mut World| {
        let person = attempt(world, "ann", Some("sesame"), None)?;
        world.disconnect(person, Ended::ByPeer);
        Ok::<(), String>(())
    };
    let wrong = refused("3 wrong password");
    let too_often = refused("6 too many wrong passwords from your address");
    for _ in 0..11 {
        assert_eq!(attempt(&mut world, "ann", Some("x"), None), wrong);
        assert_eq!(enter(&mut world), Ok(()));
    }
    assert_eq!(attempt(&mut world, "ann", Some("x"), None), wrong);
    for _ in 0..100 {
        assert_eq!(attempt(&mut world, "ann", Some("x"), None), too_often);
    }
    // Even the right one is not looked at, but not for long, however often somebody asks.
    assert_eq!(attempt(&mut world, "ann", Some("sesame"), None), too_often);
    let missing = refused("3 the server asks for a password");
    assert_eq!(attempt(&mut world, "ann", None, None), missing);
    world.wait(Duration::from_secs(10));
    for _ in 0..5 {
        assert_eq!(enter(&mut world), Ok(()));
    }
    assert_eq!(attempt(&mut world, "ann", Some("x"), None), wrong);
    assert_eq!(attempt(&mut world, "ann", Some("x"), None), too_often);
    // Other addresses are theirs.
    let elsewhere = world.connect();
    let asked = Asked {
        password: Some(Password("sesame")),
        ..EXTENDED
    };
    assert!(world.log_in_asking(elsewhere, "bob", Some(asked)).is_some());
}

#[test]
fn rule_16c_a_password_in_the_name_is_cut_off_before_anybody_sees_it() {
    let mut world = world(Access {
        password_in_name: true,
        ..closed()
    });
    let ann = world.login("ann:sesame");
    assert_eq!(world.heard(ann), ["welcome 1: 1 ann"]);
    for name in ["bob", "bob:", "bob:wrong", ":sesame", "bob :sesame:"] {
        let connection = world.connect();
        assert_eq!(world.log_in(connection, name), None, "{name}");
        assert_eq!(world.heard(connection), ["login refused"]);
    }
    let long = format!("{}:sesame", "x".repeat(32));
    assert!(world.heard(ann).is_empty());
    let newcomer = world.login(&long);
    assert_eq!(
        world.heard(ann),
        [format!("joined server: {} {}", newcomer.id, "x".repeat(32))]
    );
    // One that can send it elsewhere may have a colon.
    let asked = Asked {
        password: Some(Password("sesame")),
        ..EXTENDED
    };
    let connection = world.connect();
    assert!(
        world
            .log_in_asking(connection, "a:b", Some(asked))
            .is_some()
    );
    assert_eq!(world.heard(ann).len(), 1);
}

#[test]
fn rule_16d_a_reserved_name_is_for_those_who_prove_it() {
    let mut reserved_names = ReservedNames::default();
    reserved_names
        .reserve("Boss", secret("mine"))
        .expect("it is free");
    let mut world = world(Access {
        reserved_names,
        ..Access::default()
    });
    let reserved = refused("5 the name is reserved");
    let old = world.connect();
    assert_eq!(world.log_in(old, "bOSS"), None);
    for (name, proof) in [
        ("boss", None),
        ("Boss", Some("yours")),
        (" ＢＯＳＳ", Some("")),
    ] {
        assert_eq!(attempt(&mut world, name, None, proof), reserved, "{name}");
    }
    let watcher = world.login_extended("watcher");
    world.hush();
    let boss = attempt(&mut world, "Boss", None, Some("mine")).expect("it is proved");
    let id = boss.id;
    let joined = format!("joined server: {id} Boss");
    assert_eq!(world.heard(watcher), [joined, format!("flags: {id} 4")]);
    // A proof of a name that is free is no proof.
    assert!(attempt(&mut world, "other", None, Some("mine")).is_ok());
    assert_eq!(world.heard(watcher).len(), 1);
    assert!(world.counted().contains(&(Cause::LoginNameReserved, 4)));
}

#[test]
fn rule_16e_a_name_may_be_there_once() {
    let mut world = world(Access {
        unique_names: true,
        ..Access::default()
    });
    let ann = world.login("Ann");
    let in_use = refused("5 the name is in use");
    for name in ["Ann", "ann", "ＡＮＮ"] {
        assert_eq!(attempt(&mut world, name, None, None), in_use, "{name}");
    }
    world.disconnect(ann, Ended::ByPeer);
    let again = attempt(&mut world, "ann", None, None).expect("it is free again");
    assert_eq!(attempt(&mut world, "Ann", None, None), in_use);
    world.disconnect(again, Ended::ByPeer);
    world.login("ann");
    assert!(world.counted().contains(&(Cause::LoginNameInUse, 4)));
}
