//! The binary as its user starts it: what it prints, how it ends, and what it does when descriptors
//! run out.

use crate::client::PATIENCE;
#[cfg(unix)]
use crate::client::{Client, Place, encoded};
#[cfg(unix)]
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
#[cfg(unix)]
use std::net::TcpStream;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::{self, Command, Output, Stdio};
#[cfg(unix)]
use std::process::{Child, ChildStderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use voiceapp_server::cli;
#[cfg(unix)]
use voiceapp_server::limits::HTTP_EXCHANGES_MAX;
#[cfg(unix)]
use voiceapp_server::protocol::Packet;

pub const BINARY: &str = env!("CARGO_BIN_EXE_voiceapp-server");

pub fn run(arguments: &[&str]) -> Output {
    let child = command(BINARY)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let _patience = end_after_patience(child.id());
    child.wait_with_output().expect("it was started")
}

/// Kills a process that goes on for longer than the tests have patience for, so that whoever waits for
/// it fails rather than hangs. What this returns calls it off when it is dropped.
fn end_after_patience(process: u32) -> Sender<()> {
    let (call_off, is_called_off) = channel();
    std::thread::spawn(move || {
        if is_called_off.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill")
                .args(["-KILL", &process.to_string()])
                .status();
        }
    });
    call_off
}

/// A command that sees none of the settings that the tests' own environment may have.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for setting in cli::SETTINGS {
        command.env_remove(setting.variable());
        // Those that would be warned of, too.
        command.env_remove(setting.option.to_uppercase().replace('-', "_"));
    }
    command.env_remove("VOICEAPP_CONFIG");
    // What it keeps is not for the user's own folder.
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = run(&["--help"]);
    assert!(help.status.success());
    assert_eq!(text(&help.stdout), cli::help());
    let version = run(&["--version"]);
    assert!(version.status.success());
    let expected = format!("voiceapp-server {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&version.stdout), expected);
}

/// What is printed finds a reader who has gone, a disk that is full, or nothing at all.
#[cfg(unix)]
#[test]
fn what_cannot_be_printed_is_told_by_the_exit_code() {
    for asked in ["--help", "--version", "--check-config"] {
        let (reader, writer) = std::io::pipe().expect("there are descriptors");
        drop(reader);
        let hung_up = command(BINARY).arg(asked).stdout(writer).output();
        let output = hung_up.expect("the binary starts");
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(0), String::new())
        );

        let closed = command("sh")
            .args(["-c", "exec \"$0\" \"$1\" >&-", BINARY, asked])
            .output();
        let output = closed.expect("the binary starts");
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(0), String::new())
        );

        // Linux has a disk for that.
        let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
            continue;
        };
        let output = command(BINARY).arg(asked).stdout(full).output();
        let output = output.expect("the binary starts");
        assert_eq!(output.status.code(), Some(1));
        let message = text(&output.stderr);
        assert!(
            message.starts_with("voiceapp-server: cannot write to standard output: "),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    // Nor does it matter to the exit code whether a complaint is heard.
    let unheard = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().expect("there are descriptors");
        drop(reader);
        let mut command = command(BINARY);
        let output = command
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(writer)
            .status();
        output.expect("the binary starts").code()
    };
    assert_eq!(unheard(&["--max-users", "many"]), Some(2));
    assert_eq!(
        unheard(&["--check-config", "--ban-file", "/nowhere"]),
        Some(1)
    );
    let ports = ["--management-port", "0", "--voice-relay-port", "0"];
    assert_eq!(
        unheard(&[&ports[..], &["--ban-file", "/nowhere"]].concat()),
        Some(1)
    );
}

#[test]
fn a_setting_that_cannot_be_used_is_one_line_and_exit_code_2() {
    for (arguments, named) in [
        (["--management-port", "70000"], "--management-port"),
        (["--max-users", "many"], "--max-users"),
        (["--frobnicate", "1"], "--frobnicate"),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2));
        let message = text(&output.stderr);
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.contains(named), "{message}");
    }
    let output = command(BINARY)
        .env("VOICE_RELAY_PORT", "seventy")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("VOICE_RELAY_PORT"));
}

#[test]
fn a_port_that_cannot_be_had_is_named_with_its_setting_and_exit_code_1() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let taken = taken.local_addr().expect("it is bound");
    let taken_udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let taken_udp = taken_udp.local_addr().expect("it is bound");
    let (tcp, udp) = (taken.port().to_string(), taken_udp.port().to_string());
    let metrics = taken.to_string();
    for (option, value, named) in [
        ("--management-port", &tcp, "TCP port"),
        ("--voice-relay-port", &udp, "UDP port"),
        ("--metrics-address", &metrics, "TCP port"),
        // An address of documentation is nobody's.
        ("--bind-address", &"192.0.2.1".to_string(), "192.0.2.1"),
        (
            "--metrics-address",
            &"192.0.2.1:9003".to_string(),
            "9003 of 192.0.2.1",
        ),
    ] {
        let output = command(BINARY)
            .envs([("MANAGEMENT_PORT", "0"), ("VOICE_RELAY_PORT", "0")])
            .envs([
                ("VOICEAPP_BIND_ADDRESS", "127.0.0.1"),
                ("VOICEAPP_LOG_LEVEL", "off"),
            ])
            .args([option, value])
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(1), "{option}");
        let message = text(&output.stderr);
        assert_eq!(message.lines().count(), 1, "{message}");
        let of_port = value.rsplit(':').next().expect("there is one");
        for part in [&format!("({option})"), named, of_port] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

/// A file of settings in a folder of the system's, which is gone with this.
struct SettingsFile(std::path::PathBuf);

impl SettingsFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("voiceapp-server-{name}-{}.toml", process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        SettingsFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("it is text")
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn what_is_wrong_with_a_file_is_one_line_that_names_its_line() {
    for (name, text, said, code) in [
        ("range", "\nmax-users = 0\n", ":2: max-users: ", 2),
        ("typo", "max-user = 5\n", ":1: there is no setting ", 2),
        ("syntax", "max-users 5\n", ":1: ", 2),
        (
            "bans",
            "management-port = 0\nban-file = \"/nowhere/to/be/found\"\n",
            ":2: ban-file): ",
            1,
        ),
    ] {
        let file = SettingsFile::new(name, text);
        let output = run(&["--voice-relay-port", "0", "--config", file.path()]);
        assert_eq!(output.status.code(), Some(code));
        let message = text_of_last_line(&output.stderr);
        let named = format!("{}{said}", file.path());
        assert!(message.contains(&named), "{message}");
    }
    let output = run(&["--config", "/nowhere/to/be/found"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--config: cannot read /nowhere/to/be/found: "));
}

fn text_of_last_line(bytes: &[u8]) -> String {
    let text = text(bytes);
    text.lines().next_back().unwrap_or_default().into()
}

#[cfg(unix)]
#[test]
fn a_file_is_in_force_and_variables_of_before_are_told_in_one_line() {
    let text = "max-users = 17\nlog-level = \"info\"\n";
    let file = SettingsFile::new("in-force", text);
    let mut command = command(BINARY);
    command.env("VOICEAPP_CONFIG", file.path());
    command.envs([("MAX_USERS", "5"), ("LOG_LEVEL", "off")]);
    let server = Started::new(&mut command);
    let in_vain: Vec<_> = server
        .warnings
        .lines()
        .filter(|line| line.contains("change nothing"))
        .collect();
    assert_eq!(in_vain.len(), 1, "{}", server.warnings);
    for named in [
        "[WARN]",
        "MAX_USERS (it is VOICEAPP_MAX_USERS)",
        "LOG_LEVEL",
    ] {
        assert!(in_vain[0].contains(named), "{named}: {}", in_vain[0]);
    }
    assert!(server.first_line.contains("at most 17 users"));
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn a_ban_file_that_cannot_be_read_is_named_with_its_setting() {
    let missing = "/nowhere/to/be/found";
    let ports = ["--management-port", "0", "--voice-relay-port", "0"];
    for check in [&[][..], &["--check-config"]] {
        let output = run(&[&ports[..], &["--ban-file", missing], check].concat());
        assert_eq!(output.status.code(), Some(1));
        let message = text(&output.stderr);
        let named = format!("ban file {missing} (--ban-file): ");
        assert!(message.contains(&named), "{message}");
    }
}

/// The binary with these variables.
#[cfg(target_os = "linux")]
pub fn start_under(variables: &[(&str, &str)]) -> Started {
    Started::new(command(BINARY).envs(variables.iter().copied()))
}

/// The binary running on ports of its choice, which its first line tells.
#[cfg(unix)]
pub struct Started {
    child: Child,
    pub place: Place,
    /// What it said before it listened.
    pub warnings: String,
    /// What it said when it did.
    first_line: String,
    stderr: BufReader<ChildStderr>,
}

#[cfg(unix)]
impl Started {
    pub fn new(command: &mut Command) -> Started {
        let mut child = command
            .env("MANAGEMENT_PORT", "0")
            .env("VOICE_RELAY_PORT", "0")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut warnings = String::new();
        let mut line = String::new();
        while !line.contains("management on TCP") {
            warnings += &std::mem::take(&mut line);
            let read = stderr.read_line(&mut line).expect("it is text");
            assert!(read > 0, "the binary ended without a word");
        }
        assert!(line.contains(env!("CARGO_PKG_VERSION")), "{line}");
        let port_after = |what: &str| {
            let rest = line.split(what).nth(1).expect("it is in the line");
            let address = rest.split(", ").next().expect("there is an address");
            let (_, port) = address.trim().rsplit_once(':').expect("with a port");
            port.parse().expect("it is a number")
        };
        let place = Place {
            ip: Ipv4Addr::LOCALHOST.into(),
            tcp_port: port_after("management on TCP"),
            udp_port: port_after("voice relay on UDP"),
        };
        Started {
            child,
            place,
            warnings,
            first_line: line,
            stderr,
        }
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .expect("kill is everywhere");
        assert!(status.success());
    }

    /// Reads the log up to the end of the next statistics, which are asked for.
    pub fn log_until_now(&mut self) -> String {
        self.signal("USR1");
        self.log_until("datagrams per batch")
    }

    /// Reads the log up to a line with this in it.
    pub fn log_until(&mut self, awaited: &str) -> String {
        let _patience = end_after_patience(self.child.id());
        let mut log = String::new();
        while !log.contains(awaited) {
            let read = self.stderr.read_line(&mut log).expect("it is text");
            assert!(read > 0, "the log ends before {awaited:?}: {log}");
        }
        log
    }

    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).expect("it is text");
        (self.child.wait().expect("it was started").code(), log)
    }
}

#[cfg(unix)]
impl Drop for Started {
    /// A test that fails leaves no server behind; one that has ended already is past harm.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn sigterm_and_sigint_end_it_in_order() {
    for signal in ["TERM", "INT"] {
        let server = Started::new(&mut command(BINARY));
        let mut alice = Client::log_in(server.place, "alice");
        server.signal(signal);
        alice.expect_end();
        let (code, log) = server.wait();
        assert_eq!(code, Some(0));
        assert!(log.contains("stopped"), "{log}");
    }
}

#[cfg(unix)]
#[test]
fn sigusr1_writes_the_statistics_and_harms_nobody() {
    let mut server = Started::new(&mut command(BINARY));
    let mut alice = Client::log_in(server.place, "alice");
    for _ in 0..2 {
        let log = server.log_until_now();
        for line in ["users now", "relay latency", "loop turns"] {
            assert!(log.contains(line), "{log}");
        }
        alice.expect_quiet();
    }
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_machine_does_not_grant_is_named_and_exit_code_1() {
    let ports = ["--management-port", "0", "--voice-relay-port", "0"];
    let output = run(&[&ports[..], &["--pin-to-cpu", "1023"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("--pin-to-cpu"),
        "{}",
        text(&output.stderr)
    );
}

/// A pipe holds 64 KiB on Linux, and a thousand lines are more than that.
#[cfg(unix)]
#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let server = Started::new(
        command(BINARY)
            .env("VOICEAPP_MAX_LOGIN_RATE", "0")
            .env("VOICEAPP_MAX_CONNECTION_RATE", "0"),
    );
    for _ in 0..500 {
        Client::log_in(server.place, "a name of thirty-two bytes, whole");
    }
    let mut alice = Client::log_in(server.place, "alice");
    alice.expect_quiet();
    server.signal("TERM");
    alice.expect_end();
    let (code, log) = server.wait();
    assert_eq!(code, Some(0));
    assert!(
        log.len() > 65_536,
        "{} bytes: what was written is not lost",
        log.len()
    );
    assert!(log.contains("stopped"), "the end is there");
}

/// What a stranger gets for a ping: an answer, or the end.
#[cfg(unix)]
fn is_served(place: Place) -> Option<TcpStream> {
    let mut stream = TcpStream::connect((place.ip, place.tcp_port)).expect("the kernel listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is not zero");
    let ping = encoded(&Packet::PingRequest { request_id: 1 });
    // One that is refused may be closed already.
    let _ = stream.write_all(&ping);
    let mut answer = [0; 11];
    match stream.read_exact(&mut answer) {
        Ok(()) => Some(stream),
        Err(error) => {
            let is_patient = ![ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind());
            assert!(is_patient, "neither an answer nor the end");
            None
        }
    }
}

/// With descriptors for a dozen connections, the connected are served, newcomers are refused at once
/// instead of waiting, whoever looks after the server is answered, and as places are freed others get
/// in.
#[cfg(unix)]
#[test]
fn when_descriptors_run_out_newcomers_are_refused_and_whoever_looks_after_it_is_answered() {
    let bans = std::env::temp_dir().join(format!("voiceapp-server-no-bans-{}", process::id()));
    std::fs::write(&bans, "").expect("the folder is writable");
    let mut shell = command("sh");
    shell.args(["-c", "ulimit -n 40 && exec \"$0\"", BINARY]);
    shell.env("VOICEAPP_METRICS_ADDRESS", "127.0.0.1:0");
    shell.env("VOICEAPP_BAN_FILE", &bans);
    let mut server = Started::new(&mut shell);
    let log = server.log_until("metrics on http://");
    let (_, rest) = log.split_once("http://").expect("it was awaited");
    let metrics = rest.split('/').next().expect("it has a start").to_owned();

    let mut alice = Client::log_in(server.place, "alice");
    let served: Vec<TcpStream> = (0..60).map_while(|_| is_served(server.place)).collect();
    assert!(!served.is_empty() && served.len() < 40, "{}", served.len());
    assert!(is_served(server.place).is_none());
    alice.expect_quiet();

    // As many collectors at once as there may be at all, of which one asks.
    let waiting: Vec<TcpStream> = (1..HTTP_EXCHANGES_MAX)
        .map(|_| TcpStream::connect(&metrics).expect("the kernel listens"))
        .collect();
    let page = crate::metrics::ask(
        metrics.parse().expect("it is an address"),
        "GET /metrics HTTP/1.1\r\n\r\n",
    );
    assert!(
        page.contains("cause=\"refused_no_descriptors\"} "),
        "{page}"
    );
    #[cfg(target_os = "linux")]
    assert!(page.contains("process_resident_memory_bytes "), "{page}");
    drop(waiting);
    #[cfg(target_os = "linux")]
    assert!(server.log_until_now().contains("memory, KiB"));
    std::fs::write(&bans, "192.0.2.1").expect("the folder is writable");
    server.signal("HUP");
    server.log_until("the ban file was read again: 1 ranges");
    assert!(is_served(server.place).is_none());

    // And there is room again.
    drop(served);
    alice.expect_quiet();
    let bob = Client::log_in(server.place, "bob");
    alice.next(|packet| match packet {
        Packet::UserJoinedServer { participant: who } => assert_eq!(who.user_id, bob.id),
        other => panic!("not the coming of bob: {other:?}"),
    });
    server.signal("TERM");
    let (code, log) = server.wait();
    assert_eq!(code, Some(0));
    assert!(log.contains("refused_no_descriptors"), "{log}");
    assert!(!log.contains("accept_paused"), "{log}");
    std::fs::remove_file(bans).expect("it is there");
}

/// Only where the server has to leave it to the system which of its addresses it answers from.
#[cfg(target_os = "linux")]
#[test]
fn plain_sending_from_every_address_is_warned_of() {
    const WARNING: &str = "sent one by one, voice leaves a machine with several addresses from";
    for (way, address, is_warned) in [
        ("plain", "any", true),
        ("plain", "0.0.0.0", true),
        ("plain", "127.0.0.1", false),
        ("auto", "any", false),
    ] {
        let server = start_under(&[
            ("VOICEAPP_UDP_SEND", way),
            ("VOICEAPP_BIND_ADDRESS", address),
        ]);
        let warnings = &server.warnings;
        assert_eq!(
            warnings.contains(WARNING),
            is_warned,
            "{way} {address}: {warnings}"
        );
    }
}
