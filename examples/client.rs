//! A voice and chat client for the terminal. What is typed is said to everyone, and every event is
//! a line. There is no microphone: `/tone` speaks datagrams that another such client recognises, at
//! the pace of real voice.
//!
//! ```text
//! cargo run --example client -- --name alice [--server HOST[:PORT]] [--voice-port PORT]
//! printf '/join\n/tone 2\n' | cargo run --example client -- --name robot
//! ```
//!
//! Three threads only read (standard input, TCP, UDP); the main thread owns everything else. A line
//! is read when the one before it is answered, so that a script runs in order as well.

/// Shows a line, formatted as by `println!`. A terminal that went away ends the client.
macro_rules! say {
    ($($line:tt)+) => { $crate::show(format_args!($($line)+)) };
}

#[path = "client/session.rs"]
mod session;
#[path = "client/speaker.rs"]
mod speaker;
#[path = "client/voice.rs"]
mod voice;

use session::Session;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use voice::Voice;

const USAGE: &str = "\
Usage: client --name NAME [--server HOST[:PORT]] [--voice-port PORT]

  --name NAME           what the others see, 1 to 32 bytes
  --server HOST[:PORT]  the server, by name or address, [::1]:9001 too (default 127.0.0.1:9001)
  --voice-port PORT     its UDP port (default 9002)
  -h, --help            this text

Exit codes: 0 after /quit or the end of input, 1 if the server refuses or is lost, 2 for a bad
option.";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let outcome = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => run(&options),
        Ok(None) => say!("{USAGE}"),
        Err(error) => {
            complain(&format!("{error} (--help shows the options)"));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) | Err(End::Quit) => ExitCode::SUCCESS,
        Err(End::Failed(message)) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// If nobody hears the complaint, the exit code still tells.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "client: {message}");
}

/// Why the client ends.
enum End {
    /// The user asked for it.
    Quit,
    /// Something else did, and this is what to say about it.
    Failed(String),
}

fn show(line: fmt::Arguments<'_>) -> Result<(), End> {
    writeln!(io::stdout(), "{line}")
        .map_err(|error| End::Failed(format!("cannot write to standard output: {error}")))
}

struct Options {
    name: String,
    host: String,
    port: u16,
    voice_port: u16,
}

impl Options {
    /// `None` if only help was asked for.
    fn parse(mut arguments: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;
        let mut name = None;
        let (mut host, mut port, mut voice_port) = ("127.0.0.1".to_owned(), 9001, 9002);
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("name") => name = Some(arguments.value()?.string()?),
                Long("server") => (host, port) = split_server(&arguments.value()?.string()?, 9001)?,
                Long("voice-port") => voice_port = parse_port(&arguments.value()?.string()?)?,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        let name = name.ok_or("--name NAME is missing")?;
        Ok(Some(Options {
            name,
            host,
            port,
            voice_port,
        }))
    }
}

/// Takes `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT` or a bare IPv6 address apart.
fn split_server(server: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = if let Some(bracketed) = server.strip_prefix('[') {
        match bracketed.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, rest)) if rest.starts_with(':') => (host, Some(&rest[1..])),
            _ => return Err(format!("{server:?} is not [ADDRESS]:PORT")),
        }
    } else {
        match server.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (server, None),
        }
    };
    if host.is_empty() {
        return Err(format!("{server:?} names no host"));
    }
    Ok((host.to_owned(), port.map_or(Ok(default_port), parse_port)?))
}

fn parse_port(port: &str) -> Result<u16, String> {
    match port.parse() {
        Ok(0) | Err(_) => Err(format!("{port:?} is not a port (1 to 65535)")),
        Ok(port) => Ok(port),
    }
}

/// What the reading threads deliver, with the time at which it came.
enum Input {
    /// The line that was asked for.
    Line(String),
    /// There are no more lines.
    LinesEnded,
    /// Bytes of the TCP stream.
    Received(Vec<u8>, Instant),
    /// One UDP datagram.
    Datagram(Vec<u8>, Instant),
    /// TCP has ended.
    ConnectionLost(io::Error),
    /// UDP has ended.
    VoiceLost(io::Error),
}

/// Connects, starts the reading threads, and runs the session until it ends.
fn run(options: &Options) -> Result<(), End> {
    let (tcp, udp, voice_address) = connect(options).map_err(End::Failed)?;
    let failed = |error| End::Failed(format!("cannot use the connection: {error}"));
    let tcp_reader = tcp.try_clone().map_err(failed)?;
    let udp_reader = udp.try_clone().map_err(failed)?;
    let (line_wanted, lines_wanted) = channel();
    // Bounded, so that a terminal on hold makes the network wait instead of filling the memory.
    let (inputs, inbox) = sync_channel(1_024);
    let (tcp_inputs, udp_inputs) = (inputs.clone(), inputs.clone());
    thread::spawn(move || read_lines(&lines_wanted, &inputs));
    thread::spawn(move || read_stream(tcp_reader, &tcp_inputs));
    thread::spawn(move || read_datagrams(&udp_reader, &udp_inputs));
    let voice = Voice::new(udp, voice_address);
    Session::new(tcp, voice, line_wanted).run(&options.name, &inbox)
}

fn connect(options: &Options) -> Result<(TcpStream, UdpSocket, SocketAddr), String> {
    let host = options.host.as_str();
    let addresses = (host, options.port)
        .to_socket_addrs()
        .map_err(|error| format!("cannot find {host}: {error}"))?;
    let mut failures = Vec::new();
    for address in addresses {
        match connect_to(address, options.voice_port) {
            Ok(connected) => return Ok(connected),
            Err(error) => failures.push(format!("cannot connect to {address}: {error}")),
        }
    }
    if failures.is_empty() {
        failures.push(format!("{host} has no address"));
    }
    Err(failures.join(", "))
}

fn connect_to(
    address: SocketAddr,
    voice_port: u16,
) -> io::Result<(TcpStream, UdpSocket, SocketAddr)> {
    let tcp = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    tcp.set_nodelay(true)?;
    tcp.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let mut voice_address = address;
    voice_address.set_port(voice_port);
    let udp = match address {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
    };
    udp.connect(voice_address)?;
    Ok((tcp, udp, voice_address))
}

/// Reads one line whenever one is wanted. Input that cannot be read has ended: a terminal that was
/// hung up says so by an error.
fn read_lines(wanted: &Receiver<()>, inputs: &SyncSender<Input>) {
    let mut stdin = io::stdin().lock();
    while wanted.recv().is_ok() {
        let mut line = Vec::new();
        let input = match stdin.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => Input::LinesEnded,
            Ok(_) => Input::Line(String::from_utf8_lossy(&line).trim_end().to_owned()),
        };
        if inputs.send(input).is_err() {
            return;
        }
    }
}

fn read_stream(mut tcp: TcpStream, inputs: &SyncSender<Input>) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let input = match tcp.read(&mut buffer) {
            Ok(0) => Input::ConnectionLost(ErrorKind::UnexpectedEof.into()),
            Ok(len) => Input::Received(buffer[..len].to_vec(), Instant::now()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Input::ConnectionLost(error),
        };
        let is_last = matches!(input, Input::ConnectionLost(_));
        if inputs.send(input).is_err() || is_last {
            return;
        }
    }
}

fn read_datagrams(udp: &UdpSocket, inputs: &SyncSender<Input>) {
    use ErrorKind::{HostUnreachable, Interrupted, NetworkUnreachable};
    let mut buffer = [0; 65_536];
    loop {
        let input = match udp.recv(&mut buffer) {
            Ok(len) => Input::Datagram(buffer[..len].to_vec(), Instant::now()),
            Err(error) => match error.kind() {
                // News of one datagram that was lost, and not of what comes after it.
                Interrupted | HostUnreachable | NetworkUnreachable => continue,
                _ => Input::VoiceLost(error),
            },
        };
        let is_last = matches!(input, Input::VoiceLost(_));
        if inputs.send(input).is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split_server;

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        let table = [
            ("localhost", Some(("localhost", 9001))),
            ("localhost:1", Some(("localhost", 1))),
            ("127.0.0.1:19001", Some(("127.0.0.1", 19001))),
            ("[::1]:19001", Some(("::1", 19001))),
            ("[::1]", Some(("::1", 9001))),
            ("::1", Some(("::1", 9001))),
            ("", None),
            (":9001", None),
            ("host:", None),
            ("host:0", None),
            ("host:65536", None),
            ("[::1", None),
            ("[::1]9001", None),
        ];
        for (server, expected) in table {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(split_server(server, 9001).ok(), expected, "{server}");
        }
    }
}
