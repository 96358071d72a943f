//! An application with the server inside: it starts it, lets it serve, prints its statistics and
//! stops it.
//!
//! ```text
//! cargo run --example embed [SECONDS]
//! ```

use std::error::Error;
use std::io::Write;
use std::thread;
use std::time::Duration;
use voiceapp_server::{Config, Limits, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: u64 = match std::env::args().nth(1) {
        Some(seconds) => seconds.parse()?,
        None => 10,
    };
    let server = Server::bind(&Config {
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
    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "for {seconds} s: voiceapp --server {management} --voice-port {voice}"
    )?;

    let handle = server.handle();
    let serving = thread::spawn(move || server.run());
    // Here the application does its own work.
    thread::sleep(Duration::from_secs(seconds));
    handle.stop();
    let statistics = serving.join().expect("the server does not panic")?;
    writeln!(stdout, "{statistics}")?;
    Ok(())
}
