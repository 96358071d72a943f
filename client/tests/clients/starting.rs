//! How the terminal client starts and why it ends: its options, variables, name and input, and exit codes.

use crate::programs::{AMPLITUDE, Client, FREQUENCY, await_end, voiceapp};
use crate::{PATIENCE, Running, TempFile};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
#[cfg(unix)]
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use voiceapp_protocol::Packet;

#[test]
fn exit_codes_mean_something() {
    let server = Running::start();
    let here = server.invitation();
    let pin = "0".repeat(64);
    // A port that is taken, and nobody listens on.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are descriptors");
    let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    silent.bind(&any.into()).expect("there are free ports");
    let nowhere = silent.local_addr().expect("it is bound").as_socket();
    let nowhere = nowhere.expect("it is IPv4").to_string();
    let long_name = "n".repeat(33);
    let voice = server.udp_port.to_string();
    let table: [(&[&str], i32, &str); 18] = [
        (&["--help"], 0, ""),
        (&["--nonsense"], 2, "--nonsense"),
        (&["--name", "a", "--server", "host:0"], 2, "not a port"),
        (&["--plain", "--server", &here], 2, "--plain goes neither"),
        (&["--plain", "--pin", &pin], 2, "--plain goes neither"),
        (&["--pin", &pin, &here], 2, "two different keys"),
        (&["--pin", &pin[1..]], 2, "is no fingerprint"),
        (&["--server", "host", &here], 2, "there is a server already"),
        (&["--name", "a", "--listen", "file"], 2, "--listen"),
        (&["--name", "a", "--record", "-"], 2, "--record"),
        (&["--name", "a", "--reconnect", "86401"], 2, "86400"),
        (&["--name", "a", "--server", &nowhere], 3, "cannot connect"),
        (&["--name", "a", "--server", "fe80::1"], 3, "fe80::1%eth0"),
        (&["--name", "", "--server", &here], 2, "--name is empty"),
        (&["--name", &long_name, "--server", &here], 4, "refused"),
        (&["--name", "a", "--server", &here], 0, ""),
        (
            &["--name", "a", "--server", &here, "--speak", "/nowhere.wav"],
            1,
            "cannot read /nowhere.wav",
        ),
        (
            &[
                "--name",
                "a",
                "--server",
                &here,
                "--record",
                "/nowhere/x.wav",
            ],
            1,
            "cannot write /nowhere/x.wav",
        ),
    ];
    for (options, code, words) in table {
        let output = voiceapp()
            .args(options)
            .args(["--voice-port", &voice])
            .stdin(Stdio::null())
            .output()
            .expect("it can be started");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options:?}: {complaint}");
        assert!(complaint.contains(words), "{options:?}: {complaint}");
        assert_eq!(complaint.is_empty(), code == 0, "{options:?}: {complaint}");
    }
}

/// What is printed finds a reader who has gone, or a disk that is full.
#[cfg(target_os = "linux")]
pub fn assert_help_is_printed_or_told(name: &str, mut program: Command) {
    let (reader, writer) = std::io::pipe().expect("there are descriptors");
    drop(reader);
    let output = program.arg("--help").stdout(writer).output();
    let output = output.expect("it can be started");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());

    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = program.stdout(full.expect("Linux has it")).output();
    let output = output.expect("it can be started");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    let words = format!("{name}: cannot write to standard output: ");
    assert!(complaint.starts_with(&words), "{complaint}");
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_printed_is_told_by_the_exit_code() {
    assert_help_is_printed_or_told("voiceapp", voiceapp());
}

#[cfg(unix)]
#[test]
fn input_that_cannot_be_read_is_no_end_of_input() {
    let server = Running::start();
    for options in [&[][..], &["--speak", "-"]] {
        let output = voiceapp()
            .args(["--name", "a", "--server", &server.invitation()])
            .args(["--voice-port", &server.udp_port.to_string()])
            .args(options)
            .stdin(fs::File::open("/").expect("it is there"))
            .output()
            .expect("it can be started");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(
            complaint.contains("cannot read standard input"),
            "{complaint}"
        );
    }
}

#[test]
fn who_has_no_name_is_found_one_and_variables_are_taken_as_they_are_meant() {
    let server = Running::start();
    let started_with = |variables: &[(&str, &str)]| {
        voiceapp()
            .args(["--json", "--server", &server.invitation()])
            .args(["--voice-port", &server.udp_port.to_string()])
            .env_remove("USER")
            .env_remove("LOGNAME")
            .env_remove("USERNAME")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("it can be started")
    };
    let name = |variables| {
        let output = started_with(variables).stdout;
        let first = output.split(|it| *it == b'\n').next();
        let login: Value = serde_json::from_slice(first.expect("there is a line")).expect("JSON");
        assert_eq!(login["event"], "logged_in");
        login["name"].as_str().expect("it is text").to_owned()
    };
    assert!(!name(&[]).is_empty());
    assert_eq!(name(&[("USER", " "), ("LOGNAME", " ann\r")]), "ann");
    assert_eq!(name(&[("USER", " \r"), ("USERNAME", "alice\r")]), "alice");
    let output = started_with(&[("USER", "'ann'")]);
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("USER has quotes"), "{complaint}");
}

#[test]
fn what_is_piped_in_before_it_leaves_is_said() {
    let server = Running::start();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    let mut ann = Client::start(&server, "ann", &[]);
    for line in ["one", " /who", "//two", "/quit", "three"] {
        ann.tell(line);
    }
    for said in ["one", "/two"] {
        let message = bob.await_event("chat", Some("ann"));
        assert_eq!(message["message"], said);
    }
    bob.await_event("left_server", Some("ann"));
    assert!(ann.end().success());
}

#[test]
fn voice_that_is_refused_ends_who_came_for_it() {
    let server = Running::start();
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, 0.1);
    let voice = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let port = voice.local_addr().expect("it is bound").port();
    let path = file.0.to_str().expect("it is plain");
    let mut client = Client::start_plain(server.tcp_port, port, "ann", &["--speak", path]);
    drop(client.stdin.take());
    voice
        .set_read_timeout(Some(PATIENCE))
        .expect("it is not zero");
    let mut question = [0; 64];
    let (_, from) = voice.recv_from(&mut question).expect("it is asked");
    let mut answer = Vec::new();
    let refusal = Packet::VoiceAuthResponse {
        request_id: 1,
        success: false,
    };
    refusal.encode(&mut answer).expect("it fits");
    voice.send_to(&answer, from).expect("there is room");
    client.await_event("voice_refused", None);
    assert_eq!(await_end(&mut client.child).code(), Some(3));
}
