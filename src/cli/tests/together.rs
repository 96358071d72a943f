//! Settings that make no sense together.

use super::*;

#[test]
fn what_makes_no_sense_together_is_refused() {
    for (arguments, named) in [
        ("--max-login-rate 121", "--max-connection-rate 120"),
        ("--max-connection-rate 59", "--max-login-rate 60"),
        ("--max-voice-rate 3001", "--max-voice-rate-per-address 3000"),
        (
            "--max-voice-bandwidth-per-address 65535",
            "--max-voice-bandwidth 65536",
        ),
        (
            "--max-broadcast-bandwidth 16383",
            "--max-broadcast-bandwidth-per-address 16384",
        ),
        ("--max-voice-bandwidth 1418", "--max-voice-bytes 1400"),
        (
            "--max-voice-bandwidth 118 --max-voice-bytes 100",
            "--max-voice-bytes 100",
        ),
        (
            "--max-users 100000 --max-outbound-memory 8",
            "--max-users 100000: that takes up to 9 MiB",
        ),
        ("--metrics-address 127.0.0.1:9001", "--management-port 9001"),
        (
            "--metrics-address 0.0.0.0:9005 --management-port 9005 --bind-address 127.0.0.1",
            "--management-port 9005",
        ),
        (
            "--metrics-address [::]:9001 --bind-address 127.0.0.1",
            "--management-port 9001",
        ),
        (
            "--metrics-address [::1]:9001 --bind-address ::1",
            "--management-port 9001",
        ),
    ] {
        let error = error_of(arguments, &[]);
        let named_too = arguments.split_whitespace().next().expect("an option");
        assert!(
            error.contains(named) && error.contains(named_too),
            "{error}"
        );
    }
    for arguments in [
        "--max-login-rate 120",
        "--max-voice-rate 0",
        "--max-voice-rate 3000",
        "--max-connection-rate 0 --max-login-rate 1000",
        "--max-login-rate 0 --max-connection-rate 1",
        "--max-voice-bandwidth 1419",
        "--max-voice-bandwidth 119 --max-voice-bytes 100",
        "--max-users 100000 --max-outbound-memory 9",
        // Voice is UDP, and another address is another place.
        "--metrics-address 127.0.0.1:9002",
        "--metrics-address 127.0.0.1:9001 --bind-address 127.0.0.2",
        "--metrics-address [::1]:9001 --bind-address 0.0.0.0",
        "--metrics-address 0.0.0.0:9001 --bind-address ::1",
        "--metrics-address 127.0.0.1:0 --management-port 0",
    ] {
        config(arguments, &[]);
    }
    // Each by the name that it was written by.
    let file = "max-login-rate = 121\n";
    assert_eq!(
        file_error(file),
        "max-login-rate 121 (/etc/voice.toml:1) cannot be reached with --max-connection-rate 120: \
         each login needs a connection"
    );
    let error = parse_words(
        &format!("--config {FILE}"),
        &[("VOICEAPP_MAX_OUTBOUND_MEMORY", "6")],
        "\nmax-users = 100000",
    );
    assert_eq!(
        error.expect_err("it has no room"),
        "VOICEAPP_MAX_OUTBOUND_MEMORY 6 has no room for one login among max-users 100000 \
         (/etc/voice.toml:2): that takes up to 9 MiB"
    );
}
