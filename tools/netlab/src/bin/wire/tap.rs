//! The bad wire's devices and its clock: TAP devices at the ports of a [`Switch`].
//!
//! A thread reads each device; the main thread owns the rest.

use super::switch::{Harm, Switch};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The longest frame that a device with the usual MTU of 1,500 sends, and then some.
const FRAME_BYTES_MAX: usize = 2_048;
/// A device that is down, or on its way into a namespace, is tried again this much later.
const DOWN_PAUSE: Duration = Duration::from_millis(10);

/// What the threads deliver.
enum Input {
    Frame { from: usize, bytes: Vec<u8> },
    End,
}

/// Carries frames until the input says to end.
pub fn run(arguments: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    let (ports, harm, seed) = parse(arguments)?;
    let devices: Vec<File> = ports
        .iter()
        .map(|port| open(port).map_err(|error| format!("cannot create {port}: {error}")))
        .collect::<Result<_, _>>()?;
    let (inputs, inbox) = sync_channel(1_024);
    for (from, device) in devices.iter().enumerate() {
        let (device, inputs) = (device.try_clone()?, inputs.clone());
        thread::spawn(move || read_frames(device, from, &inputs));
    }
    thread::spawn(move || {
        for line in io::stdin().lines() {
            if line.is_ok_and(|line| line == "end") {
                break;
            }
        }
        let _ = inputs.send(Input::End);
    });
    println!("ready");

    let mut switch = Switch::new(devices.len(), harm, seed);
    loop {
        while let Some((to, frame)) = switch.deliver(Instant::now()) {
            // A device that is down takes nothing, as an unplugged cable would not.
            let _ = (&devices[to]).write(&frame);
        }
        let wait = switch.next_at().map_or(Duration::MAX, |at| {
            at.saturating_duration_since(Instant::now())
        });
        match inbox.recv_timeout(wait) {
            Ok(Input::Frame { from, bytes }) => switch.take(Instant::now(), from, &bytes),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Input::End) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    println!("{}", switch.counts);
    Ok(())
}

fn parse(mut arguments: lexopt::Parser) -> Result<(Vec<String>, Harm, u64), lexopt::Error> {
    use lexopt::prelude::*;
    let (mut ports, mut harm, mut seed) = (Vec::new(), Harm::default(), 0);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seed") => seed = arguments.value()?.parse()?,
            Long("loss") => harm.loss = arguments.value()?.parse::<f64>()? / 100.0,
            Long("duplicate") => harm.duplicates = arguments.value()?.parse::<f64>()? / 100.0,
            Long("delay") => harm.delay = Duration::from_millis(arguments.value()?.parse()?),
            Long("jitter") => harm.jitter = Duration::from_millis(arguments.value()?.parse()?),
            Value(port) => ports.push(port.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok((ports, harm, seed))
}

/// Creates a TAP device of this name, which lives as long as the file is open.
fn open(name: &str) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: this is a C structure of integers, raw pointers and unions of them, for which zero is
    // a valid value.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    // Bare Ethernet frames: without offloads the kernel hands out no frame over the MTU.
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open, and the structure is valid through the call.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}

fn read_frames(mut device: File, from: usize, inputs: &SyncSender<Input>) {
    let mut buffer = [0; FRAME_BYTES_MAX];
    loop {
        let Ok(len) = device.read(&mut buffer) else {
            thread::sleep(DOWN_PAUSE);
            continue;
        };
        let bytes = buffer[..len].to_vec();
        if inputs.send(Input::Frame { from, bytes }).is_err() {
            return;
        }
    }
}
