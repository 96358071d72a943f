//! The metrics port, and what a service manager is told.

use crate::client::Client;
use crate::{Running, Statistics};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use voiceapp_server::limits::{HTTP_EXCHANGES_MAX, HTTP_REQUEST_BYTES_MAX};
use voiceapp_server::{Cause, CauseKind, Config, Limits, Server};

/// A server with a metrics port, and where that is.
fn start() -> (Running, SocketAddr) {
    let config = Config {
        management_port: 0,
        voice_relay_port: 0,
        metrics_address: Some((Ipv4Addr::LOCALHOST, 0).into()),
        ..Config::default()
    };
    let server = Server::bind(&config).expect("the system has free ports");
    let metrics = server.metrics_address().expect("it was asked for");
    (Running::run(server), metrics)
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("it listens");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("it is not zero");
    stream
}

fn rest_of(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer and its end come in time");
    answer
}

pub fn ask(to: SocketAddr, request: &str) -> String {
    let mut stream = connect(to);
    stream.write_all(request.as_bytes()).expect("it is read");
    rest_of(stream)
}

fn body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head has an end");
    let len = format!("Content-Length: {}", body.len());
    assert!(head.lines().any(|line| line == len), "{head}");
    body
}

fn value(metrics: &str, name: &str) -> f64 {
    let mut lines = metrics.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(sample, _)| *sample == name).expect(name);
    value.parse().expect("it is a number")
}

#[test]
fn metrics_are_what_the_statistics_are() {
    let (server, metrics) = start();
    let mut alice = Client::log_in(server.place(), "alice");
    let _stranger = Client::connect(server.place());
    alice.prove();
    alice.join();
    alice.expect_quiet();
    let answer = ask(metrics, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let page = body(&answer);
    for (name, expected) in [
        ("voiceapp_users", 1.0),
        ("voiceapp_users_in_voice", 1.0),
        ("voiceapp_connections{state=\"logged_in\"}", 1.0),
        ("voiceapp_logins_total", 1.0),
        ("voiceapp_datagrams_received_total", 1.0),
        ("voiceapp_datagrams_sent_total", 1.0),
        ("voiceapp_received_bytes_total", 19.0),
        ("voiceapp_sent_bytes_total", 12.0),
        ("voiceapp_receive_batch_datagrams_bucket{le=\"1\"}", 1.0),
        (
            "voiceapp_connections_ended_total{cause=\"closed_by_peer\"}",
            0.0,
        ),
    ] {
        assert_eq!(value(page, name), expected, "{name}");
    }
    assert!(value(page, "process_start_time_seconds") > 1.7e9);
    assert!(value(page, "voiceapp_loop_turn_seconds_count") > 0.0);
    let samples = page.lines().filter(|line| line.contains("{cause="));
    assert_eq!(samples.count(), Cause::ALL.len(), "each has its place");
    drop(alice);
    let ends = |cause: &&Cause| cause.kind() == CauseKind::End;
    let statistics: Statistics = server.stop();
    let ended = Cause::ALL.iter().filter(ends);
    let ended: u64 = ended.map(|&cause| statistics.counters.get(cause)).sum();
    assert_eq!(ended, statistics.connections, "every connection ended once");
}

#[test]
fn every_limit_is_a_gauge_in_base_units_and_infinite_where_there_is_none() {
    let render = |limits| {
        let server = Server::bind(&Config {
            management_port: 0,
            voice_relay_port: 0,
            limits,
            ..Config::default()
        });
        let statistics = server.expect("the system has free ports").statistics();
        voiceapp_server::metrics::render(&statistics)
    };
    let page = render(Limits::default());
    for (name, expected) in [
        ("users", 1_000.0),
        ("login_timeout_seconds", 10.0),
        ("outbound_memory_bytes", 256.0 * 1_024.0 * 1_024.0),
        ("login_rate_per_minute", 60.0),
    ] {
        assert_eq!(value(&page, &format!("voiceapp_limit_{name}")), expected);
    }
    // None is forgotten, and each is found by the name of its option.
    #[cfg(feature = "cli")]
    {
        let mut seen = 0;
        for option in voiceapp_server::cli::SETTINGS.iter().map(|it| it.option) {
            if option.starts_with("max-") || option.ends_with("-timeout") {
                let name = option.trim_start_matches("max-").replace('-', "_");
                let start = format!("voiceapp_limit_{name}");
                let named = format!("at most (--{option}).");
                assert!(page.contains(&format!("# TYPE {start}")), "{start}");
                assert!(page.contains(&named), "{named}");
                seen += 1;
            }
        }
        assert_eq!(page.matches("# TYPE voiceapp_limit_").count(), seen);
    }
    // Nothing is near to where there is no limit.
    let page = render(Limits::UNLIMITED);
    for name in [
        "connections_per_address",
        "connection_rate_per_minute",
        "chat_rate_per_second",
        "voice_bandwidth_bytes_per_second",
    ] {
        let name = format!("voiceapp_limit_{name}");
        assert_eq!(value(&page, &name), f64::INFINITY, "{name}");
    }
}

/// In a process of its own, in which nobody else opens descriptors.
#[cfg(all(target_os = "linux", feature = "cli"))]
#[test]
fn the_process_s_own_figures_are_its_own() {
    let mut shell = crate::binary::command("sh");
    shell.args(["-c", "ulimit -n 1234 && exec \"$0\"", crate::binary::BINARY]);
    let mut server =
        crate::binary::Started::new(shell.env("VOICEAPP_METRICS_ADDRESS", "127.0.0.1:0"));
    let log = server.log_until("/metrics\n");
    let address = log
        .split("http://")
        .nth(1)
        .and_then(|it| it.split('/').next());
    let metrics = address
        .expect("it is in the log")
        .parse()
        .expect("it is an address");
    let page = || ask(metrics, "GET /metrics HTTP/1.1\r\n\r\n");
    let before = page();
    assert_eq!(value(&before, "process_max_fds"), 1_234.0);
    let mut alice = Client::log_in(server.place, "alice");
    let strangers: Vec<_> = (0..20).map(|_| Client::connect(server.place)).collect();
    // Whoever connects after them is answered after they were taken in.
    alice.expect_quiet();
    Client::log_in(server.place, "bob");
    let after = page();
    let open = |page| value(page, "process_open_fds");
    let grown = open(&after) - open(&before);
    assert!(
        (21.0..=22.0).contains(&grown),
        "{grown} more for 21 connections"
    );
    drop(strangers);
    let cpu = |page| value(page, "process_cpu_seconds_total");
    assert!(0.0 < cpu(&before) && cpu(&before) < cpu(&after));
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn other_requests_are_told_what_is_wrong_with_them() {
    let (server, metrics) = start();
    let long = format!(
        "GET /metrics HTTP/1.1\r\nX: {}",
        "x".repeat(HTTP_REQUEST_BYTES_MAX)
    );
    for (request, status, text) in [
        ("GET /healthz HTTP/1.1\r\n\r\n", "200", "ok\n"),
        ("GET /healthz?x=1 HTTP/1.0\r\n\r\n", "200", "ok\n"),
        (
            "GET / HTTP/1.1\r\n\r\n",
            "404",
            "there are /metrics and /healthz\n",
        ),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405", "GET or HEAD\n"),
        ("\u{1}\r\n\r\n", "400", "not HTTP\n"),
        (&long, "431", "too long\n"),
    ] {
        let answer = ask(metrics, request);
        let start = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&start), "{request}: {answer}");
        assert_eq!(body(&answer), text);
    }
    let answer = ask(metrics, "HEAD /healthz HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"));
    server.stop();
}

#[test]
fn a_request_may_come_in_pieces_and_whoever_finds_no_place_waits() {
    let (server, metrics) = start();
    let mut slow: Vec<TcpStream> = (0..HTTP_EXCHANGES_MAX).map(|_| connect(metrics)).collect();
    let mut waiting = connect(metrics);
    let request = b"GET /healthz HTTP/1.1\r\n\r\n";
    waiting.write_all(request).expect("the kernel takes it");
    let mut alice = Client::log_in(server.place(), "alice");
    for byte in request {
        for stream in &mut slow {
            stream.write_all(&[*byte]).expect("it is read");
        }
        // A round trip through the loop, so that the pieces are read one by one.
        alice.expect_quiet();
    }
    for stream in slow.into_iter().chain([waiting]) {
        assert!(rest_of(stream).ends_with("ok\n"));
    }
    server.stop();
}

#[cfg(all(target_os = "linux", feature = "cli"))]
#[test]
fn a_service_manager_hears_when_it_is_ready_that_it_turns_and_when_it_stops() {
    use std::os::unix::net::UnixDatagram;

    let name = format!("voiceapp-server-test-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let manager = UnixDatagram::bind(&path).expect("the folder is writable");
    let patience = Some(Duration::from_secs(20));
    manager.set_read_timeout(patience).expect("it is not zero");
    let hear = || {
        let mut bytes = [0; 100];
        let len = manager.recv(&mut bytes).expect("it is told in time");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    let server = crate::binary::start_under(&[
        ("NOTIFY_SOCKET", path.to_str().expect("it is text")),
        ("WATCHDOG_USEC", "20000"),
    ]);
    assert_eq!(hear(), "READY=1");
    // Nobody does anything, and still the loop turns.
    assert_eq!((hear(), hear()), ("WATCHDOG=1".into(), "WATCHDOG=1".into()));
    server.signal("TERM");
    let mut last = hear();
    while last == "WATCHDOG=1" {
        last = hear();
    }
    assert_eq!(last, "STOPPING=1");
    assert_eq!(server.wait().0, Some(0));
    std::fs::remove_file(path).expect("it is there");
}
