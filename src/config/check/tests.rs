//! What is said of settings that are made by hand and are not valid: the fields of [`Config`] are
//! named, not the options of the command line.

use super::*;

#[test]
fn a_config_made_by_hand_is_checked_and_its_fields_are_named() {
    assert_eq!(Config::default().check(), Ok(()));
    let error = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.check().expect_err("it cannot be used").to_string()
    };
    for (said, expected) in [
        (
            error(|it| it.limits.users = 0),
            "limits.users: 0 is not from 1 to 100000",
        ),
        (
            error(|it| it.limits.users = MAX_USERS_CEILING + 1),
            "limits.users: 100001 is not from 1 to 100000",
        ),
        (
            error(|it| it.limits.stall_timeout = Duration::ZERO),
            "limits.stall_timeout: 0ns is not from 1s to 300s",
        ),
        (
            error(|it| it.limits.chat_rate = RATE_CEILING + 1),
            "limits.chat_rate: 500000001 is not from 0 to 500000000",
        ),
        (
            error(|it| it.ban_file = Some("".into())),
            "ban_file: \"\" is not a path",
        ),
        (
            error(|it| it.bind_address = Some(Ipv4Addr::BROADCAST.into())),
            "bind_address: 255.255.255.255 is not an address of one machine",
        ),
        (
            error(|it| it.pin_to_cpu = Some(1_024)),
            "pin_to_cpu: 1024 is not from 0 to 1023",
        ),
        (
            error(|it| it.realtime_priority = 100),
            "realtime_priority: 100 is not from 0 to 99",
        ),
        (
            error(|it| it.limits.login_rate = 121),
            "limits.login_rate 121 cannot be reached with limits.connection_rate 120: each \
             login needs a connection",
        ),
        (
            error(|it| it.metrics_address = Some(([127, 0, 0, 1], 9001).into())),
            "metrics_address 127.0.0.1:9001 is taken by management_port 9001: give each a \
             port of its own",
        ),
    ] {
        assert_eq!(said, expected);
    }
}
