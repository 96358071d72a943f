//! The example programs, which the server's package has.

use crate::measure::has_tone;
use crate::programs::{AMPLITUDE, Client, FREQUENCY};
use crate::{Running, TempFile};
use voiceapp_testkit::program;

#[test]
fn the_bot_says_back_what_was_said() {
    let server = Running::start();
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, 1.0);
    let recording = TempFile::new();
    let mut command = program("echo");
    command
        .args(["--server", &server.invitation()])
        .args(["--voice-port", &server.udp_port.to_string()]);
    let mut bot = Client::spawn(command, false);
    bot.await_line("voice", |line| line == "you are in voice");
    let path = recording.0.to_str().expect("it is plain");
    let mut person = Client::start(&server, "person", &["--record", path]);
    person.await_voice();
    person.tell(&format!("/play {}", file.0.display()));
    person.await_event("speech_ended", None);
    // How much of it the bot has heard in time is up to the machine.
    person.heard("echo", 5);
    assert!(person.end().success());
    assert!(has_tone(&recording.samples(), FREQUENCY, AMPLITUDE));
}

#[cfg(target_os = "linux")]
#[test]
fn help_of_the_bot_that_cannot_be_printed_is_told_by_the_exit_code() {
    crate::starting::assert_help_is_printed_or_told("echo", program("echo"));
}

#[test]
fn the_client_to_read_speaks_and_says_what_happens() {
    let server = Running::start();
    let recording = TempFile::new();
    let path = recording.0.to_str().expect("it is plain");
    let mut hearer = Client::start(&server, "hearer", &["--record", path]);
    hearer.await_voice();
    let mut command = program("client");
    command
        .args(["tone", &server.invitation()])
        .arg(server.udp_port.to_string());
    let mut client = Client::spawn(command, false);
    // Two seconds, and the silence that ends them.
    for line in ["you are in voice", "spoke 102 datagrams"] {
        client.await_line(line, |it| it == line);
    }
    assert_eq!(hearer.heard("tone", 102)["lost"], 0);
    assert!(client.end().success());
    assert!(hearer.end().success());
}

#[test]
fn an_application_has_the_server_inside() {
    let output = program("embed")
        .arg("0")
        .output()
        .expect("it can be started");
    let text = String::from_utf8(output.stdout).expect("it is text");
    assert!(output.status.success());
    assert!(text.contains("--voice-port"), "{text}");
    assert!(text.contains("datagrams received"), "{text}");
}
