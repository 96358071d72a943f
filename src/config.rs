//! What a server is started with: a plain struct. An application fills it in itself, and the binary
//! from options, variables and a file (`cli`).

mod check;

pub use check::ConfigError;

use crate::access::ReservedNames;
use crate::limits::Limits;
use crate::secret::Secret;
use log::LevelFilter;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What a server is started with. [`Config::default`] is what the binary does without any option.
/// [`check`](Self::check) reports what is not valid, and so does [binding](crate::Server::bind) the
/// server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The TCP port of management. 0 lets the system choose one.
    pub management_port: u16,
    /// The UDP port of the voice relay. 0 lets the system choose one.
    pub voice_relay_port: u16,
    /// The address to listen on. `None` is every address, IPv4 and IPv6 both, or IPv4 alone where
    /// the machine has no IPv6.
    pub bind_address: Option<IpAddr>,
    /// The limits for clients.
    pub limits: Limits,
    /// A list of banned addresses, as [`BanList::parse`](crate::BanList::parse) reads it.
    pub ban_file: Option<PathBuf>,
    /// What the server is called, or nothing. Clients that ask show it.
    pub server_name: String,
    /// What the server has to say to newcomers whose clients ask, or nothing.
    pub welcome: String,
    /// A password that lets a client in.
    pub password: Option<Secret>,
    /// A list of passwords, as [`PasswordList::parse`](crate::access::PasswordList::parse) reads it.
    pub password_file: Option<PathBuf>,
    /// Whether clients that cannot send a password may log in as `name:password`.
    pub password_in_name: bool,
    /// Whether a name that is in use is refused to others.
    pub unique_names: bool,
    /// Names that need a proof.
    pub reserved_names: ReservedNames,
    /// Which connections are encrypted.
    pub tls: TlsUse,
    /// A PEM file with the certificate, and those that vouch for it behind it. `None` has the server make one
    /// that nobody vouches for, and keep it in the [state directory](Self::state_directory).
    pub tls_certificate: Option<PathBuf>,
    /// A PEM file with the key of that certificate.
    pub tls_key: Option<PathBuf>,
    /// The folder for what is kept from one run to the next: the certificate that the server has made. With `None`
    /// nothing is kept, and clients that know the server by its key are strangers to it after each start. The
    /// binary has one in any case, unless the system names none.
    pub state_directory: Option<PathBuf>,
    /// Where metrics are served over HTTP, if anywhere: `/metrics` for Prometheus, and `/healthz`.
    /// There is no authentication; a loopback address keeps others out.
    pub metrics_address: Option<SocketAddr>,
    /// How datagrams are sent.
    pub udp_send: UdpSend,
    /// Whether the time that each voice datagram takes through the server is measured, from the
    /// kernel's receive time stamp on.
    pub measure_latency: bool,
    /// Whether the loop polls without ever sleeping: it wakes some microseconds sooner, and takes a
    /// whole CPU.
    pub busy_poll: bool,
    /// The CPU that the loop stays on, from 0: it never moves to a cold cache, and cannot avoid
    /// what else runs there. Linux only.
    pub pin_to_cpu: Option<usize>,
    /// A real-time priority (`SCHED_FIFO`) for the loop, 1 to 99, or 0 for none: it runs before
    /// everything of lower priority, so that together with [`busy_poll`](Self::busy_poll) nothing
    /// else runs on its CPU at all. Linux only.
    pub realtime_priority: u8,
    /// Whether all memory stays out of swap: no page has to be read back from a disk, and none can
    /// be swapped out. Linux only.
    pub lock_memory: bool,
    /// The level of the binary's log. A library leaves logging to its application, and ignores
    /// this.
    pub log_level: LevelFilter,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            management_port: 9001,
            voice_relay_port: 9002,
            bind_address: None,
            limits: Limits::default(),
            ban_file: None,
            server_name: String::new(),
            welcome: String::new(),
            password: None,
            password_file: None,
            password_in_name: false,
            unique_names: false,
            reserved_names: ReservedNames::default(),
            tls: TlsUse::Also,
            tls_certificate: None,
            tls_key: None,
            state_directory: None,
            metrics_address: None,
            udp_send: UdpSend::Auto,
            measure_latency: true,
            busy_poll: false,
            pin_to_cpu: None,
            realtime_priority: 0,
            lock_memory: false,
            log_level: LevelFilter::Info,
        }
    }
}

/// Which management connections are encrypted, by TLS 1.3. The first byte that a client sends says whether its
/// connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsUse {
    /// Those whose clients begin so. A server that is built without the feature `encryption` takes this for
    /// [`Off`](Self::Off).
    Also,
    /// All: nobody logs in on another.
    Only,
    /// None.
    Off,
}

/// How datagrams are received and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpSend {
    /// The best way that the system has.
    Auto,
    /// Many datagrams per system call, and those that wait for one recipient in one message, padded
    /// by zeros to one size. Linux 4.18 and later.
    Coalesce,
    /// Many datagrams per system call. Linux only.
    Batch,
    /// One datagram per system call, as every system can.
    Plain,
}
