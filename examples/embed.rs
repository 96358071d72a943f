//! An application with the server inside: it prints what happens there, disconnects, bans and
//! announces by commands on its standard input, and prints the server's statistics at the end.
//!
//! ```text
//! cargo run --example embed [SECONDS]
//! ```
//!
//! Without SECONDS it serves until its input ends.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::thread;
use std::time::Duration;
use voiceapp_server::bans::Network;
use voiceapp_server::event::UserId;
use voiceapp_server::{Config, Limits, Server, ServerEvent, ServerHandle};

/// Events that may wait to be printed.
const EVENTS: usize = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: Option<u64> = std::env::args().nth(1).map(|it| it.parse()).transpose()?;
    let mut server = Server::bind(&Config {
        management_port: 0, // the system chooses
        voice_relay_port: 0,
        bind_address: Some([127, 0, 0, 1].into()),
        limits: Limits {
            users: 20,
            ..Limits::default()
        },
        ..Config::default()
    })?;
    let (management, voice) = (
        server.management_address(),
        server.voice_relay_address().port(),
    );
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "voiceapp --server {management} --voice-port {voice}"
    )?;

    let (handle, events) = (server.handle(), server.events(EVENTS));
    let serving = thread::spawn(move || server.run());
    let telling = thread::spawn(move || events.into_iter().try_for_each(|event| tell(&event)));
    match seconds {
        // Here the application does its own work.
        Some(seconds) => thread::sleep(Duration::from_secs(seconds)),
        None => {
            for line in io::stdin().lock().lines() {
                let said = obey(&handle, &line?).unwrap_or_else(|error| format!("no: {error}"));
                writeln!(stdout, "{said}")?;
            }
        }
    }
    handle.stop();
    let statistics = serving.join().expect("the server does not panic")?;
    // The events end with the server.
    telling.join().expect("telling does not panic")?;
    write!(stdout, "{statistics}")?;
    Ok(())
}

/// Prints an event.
fn tell(event: &ServerEvent) -> io::Result<()> {
    let mut out = io::stdout();
    match event {
        ServerEvent::LoggedIn(user) => {
            writeln!(out, "{} is {:?} from {}", user.id, user.name, user.address)
        }
        ServerEvent::Left { user, cause } => writeln!(out, "{} left: {}", user.id, cause.name()),
        ServerEvent::Chat { id, message, .. } => writeln!(out, "{id} says {message:?}"),
        other => writeln!(out, "{other:?}"),
    }
}

/// Executes a line of input.
fn obey(handle: &ServerHandle, line: &str) -> Result<String, Box<dyn Error>> {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    Ok(match command {
        "users" => format!("{:#?}", handle.users()?),
        "kick" => format!("{}", handle.disconnect(UserId(rest.parse()?))?),
        "ban" => format!("{}", handle.ban(rest.parse::<Network>()?)?),
        "unban" => format!("{}", handle.unban(rest.parse::<Network>()?)?),
        "say" => {
            handle.announce("Host", rest)?;
            "said".into()
        }
        "statistics" => handle.statistics()?.to_string(),
        _ => "users, kick ID, ban NETWORK, unban NETWORK, say TEXT or statistics".into(),
    })
}
