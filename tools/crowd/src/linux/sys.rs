//! The system calls that the standard library does not have: clocks that processes share, socket
//! options, the kernel's drop counters, and datagrams by the batch.
//!
//! The only file with `unsafe` in it. What it hands out is safe: no pointer outlives the call that
//! it was made for.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr;

/// Datagrams that one call receives or sends.
pub const BATCH: usize = 64;
/// Longer datagrams arrive cut, which shows as [`Inbox::datagram`] giving none.
const SLOT_BYTES: usize = 2_048;
/// What a receiver that reads asks for, so that a short stall of this process does not count as
/// loss.
const RECEIVE_BUFFER_BYTES: libc::c_int = 4 * 1024 * 1024;

/// Raises the soft limit of descriptors to the hard one, and returns it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is valid for writing, and then for reading, through the calls.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
    }
    Ok(limit.rlim_cur)
}

/// Leaves the session of the process that started this one. The scheduler shares the processors out
/// by session first (`autogroup`, sched(7)), so that in one of its own each process gets what a
/// server started on its own would.
pub fn enter_own_session() {
    // SAFETY: the call takes nothing. It fails only where there is nothing to do: the process leads a group already.
    unsafe { libc::setsid() };
}

/// Whether this thread waits for its turn instead of interrupting others when it wakes. Receivers
/// do, so that receiving takes no time away from what is measured.
pub fn set_patient(is_patient: bool) {
    let policy = if is_patient {
        libc::SCHED_BATCH
    } else {
        libc::SCHED_OTHER
    };
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure is valid for reading through the call. Both policies are open to everyone.
    unsafe { libc::sched_setscheduler(0, policy, &parameters) };
}

/// The clock that the kernel stamps datagrams with, in nanoseconds since the Unix epoch.
pub fn realtime_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

/// A clock that never jumps and that all processes of the machine share, in nanoseconds.
pub fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is valid for writing through the call.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(result, 0, "Linux has both clocks");
    nanoseconds(&time)
}

fn nanoseconds(time: &libc::timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps until [`monotonic_ns`] has reached this value.
pub fn sleep_until(monotonic_ns: u64) {
    let time = libc::timespec {
        tv_sec: (monotonic_ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (monotonic_ns % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: the structure is valid for reading through the calls; with an absolute time the rest isn't written.
    while unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &time,
            ptr::null_mut(),
        )
    } == libc::EINTR
    {}
}

/// Lets this thread wake on time. By default the kernel may wake it up to 50 µs late to save
/// wake-ups.
pub fn wake_on_time() {
    // SAFETY: this option takes one number and no pointer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// A receive buffer beyond what an administrator allows if we may set it, otherwise as large as
/// allowed.
pub fn set_large_receive_buffer(socket: &impl AsRawFd) -> io::Result<()> {
    set_option(socket, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        .or_else(|_| set_option(socket, libc::SO_RCVBUF, RECEIVE_BUFFER_BYTES))
}

/// The smallest receive buffer there is: about one datagram.
pub fn set_smallest_receive_buffer(socket: &impl AsRawFd) -> io::Result<()> {
    set_option(socket, libc::SO_RCVBUF, 0)
}

/// Makes the kernel report when each datagram arrived.
pub fn set_timestamps(socket: &impl AsRawFd) -> io::Result<()> {
    set_option(socket, libc::SO_TIMESTAMPNS, 1)
}

/// The same room for waiting datagrams, in and out, that a relay would ask for.
pub fn set_relay_buffers(socket: &impl AsRawFd) -> io::Result<()> {
    set_large_receive_buffer(socket)?;
    set_option(socket, libc::SO_SNDBUFFORCE, RECEIVE_BUFFER_BYTES)
        .or_else(|_| set_option(socket, libc::SO_SNDBUF, RECEIVE_BUFFER_BYTES))
}

fn set_option(socket: &impl AsRawFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the value is an int that lives through the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    check(result)
}

/// How many datagrams the kernel has dropped for want of room in this socket. It wraps around.
///
/// A message of several segments (UDP_SEGMENT) counts once for each: the kernel cuts it apart before a socket that
/// didn't ask for UDP_GRO sees it.
pub fn drops(socket: &impl AsRawFd) -> io::Result<u32> {
    const PLACE: usize = libc::SK_MEMINFO_DROPS as usize;
    let mut values = [0u32; PLACE + 1];
    let mut size = size_of_val(&values) as libc::socklen_t;
    // SAFETY: the array is valid for writing through the call, and its size is given.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &mut size,
        )
    };
    check(result)?;
    Ok(values[PLACE])
}

/// asm-generic/socket.h: the one of these options that libc has no name for.
const SO_MEMINFO: libc::c_int = 55;

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Room for one control message with a time stamp, aligned as control messages must be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// Slots for a batch of received datagrams.
pub struct Inbox {
    headers: Vec<libc::mmsghdr>,
    pieces: Vec<libc::iovec>,
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    bytes: Vec<u8>,
    /// How many headers the last call has written to.
    used: usize,
}

impl Inbox {
    pub fn new() -> Self {
        // SAFETY: these are C structures of integers and raw pointers, for which zero is a valid value.
        let (header, piece, name) = unsafe { (zeroed(), zeroed(), zeroed()) };
        let mut inbox = Inbox {
            headers: vec![header; BATCH],
            pieces: vec![piece; BATCH],
            names: vec![name; BATCH],
            controls: vec![Control([0; 64]); BATCH],
            bytes: vec![0; BATCH * SLOT_BYTES],
            used: BATCH,
        };
        for (place, header) in inbox.headers.iter_mut().enumerate() {
            inbox.pieces[place] = libc::iovec {
                iov_base: inbox.bytes[place * SLOT_BYTES..].as_mut_ptr().cast(),
                iov_len: SLOT_BYTES,
            };
            let header = &mut header.msg_hdr;
            header.msg_iov = &raw mut inbox.pieces[place];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut inbox.names[place]).cast();
            header.msg_control = (&raw mut inbox.controls[place]).cast();
        }
        inbox
    }

    /// Receives what is there, up to [`BATCH`], and returns how many it was; 0 if there is nothing.
    pub fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<usize> {
        for header in &mut self.headers[..self.used] {
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        self.used = 0;
        // SAFETY: each of the headers points to a slot, a name and a control buffer of the sizes given, all of which
        // are borrowed mutably through the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => self.used = count,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => {}
                error => return Err(error),
            },
        }
        Ok(self.used)
    }

    /// A received datagram, to read or to open where it lies; none if it was longer than its slot.
    pub fn datagram(&mut self, place: usize) -> Option<&mut [u8]> {
        let header = &self.headers[place];
        let is_whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
        let len = (header.msg_len as usize).min(SLOT_BYTES);
        is_whole.then(|| &mut self.bytes[place * SLOT_BYTES..][..len])
    }

    /// The port that it came from.
    pub fn source_port(&self, place: usize) -> u16 {
        // Both families have their port at the same place.
        let name = &raw const self.names[place];
        // SAFETY: the storage is as large and as aligned as any address, and every bit pattern is valid for integers.
        u16::from_be(unsafe { (*name.cast::<libc::sockaddr_in>()).sin_port })
    }

    /// When the kernel received it, by [`realtime_ns`], if [`set_timestamps`] was called.
    pub fn arrived_ns(&self, place: usize) -> Option<u64> {
        let header = &self.headers[place].msg_hdr;
        // SAFETY: the header is as the kernel left it and its pointers lead into the vectors beside it, of which none
        // has moved its elements since. The kind of message that is read carries the structure that is read.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(header);
            while let Some(control) = message.as_ref() {
                if (control.cmsg_level, control.cmsg_type)
                    == (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)
                {
                    let time = libc::CMSG_DATA(message).cast::<libc::timespec>();
                    return Some(nanoseconds(&time.read_unaligned()));
                }
                message = libc::CMSG_NXTHDR(header, message);
            }
        }
        None
    }
}

/// A header for each of many recipients, prepared once: all that changes from one datagram to the next is where it lies.
pub struct Fanout {
    headers: Vec<libc::mmsghdr>,
    _names: Vec<socket2::SockAddr>,
    piece: Box<libc::iovec>,
}

// SAFETY: the raw pointers in the headers lead into the vector and the box beside them, whose contents don't move.
unsafe impl Send for Fanout {}

impl Fanout {
    pub fn new(recipients: &[SocketAddr]) -> Self {
        let names: Vec<socket2::SockAddr> = recipients.iter().map(|&it| it.into()).collect();
        // SAFETY: these are C structures of integers and raw pointers, for which zero is a valid value.
        let (header, piece): (libc::mmsghdr, libc::iovec) = unsafe { (zeroed(), zeroed()) };
        let mut piece = Box::new(piece);
        let mut headers = vec![header; names.len()];
        for (header, name) in headers.iter_mut().zip(&names) {
            header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = name.len();
            header.msg_hdr.msg_iov = &raw mut *piece;
            header.msg_hdr.msg_iovlen = 1;
        }
        Fanout {
            headers,
            _names: names,
            piece,
        }
    }

    /// Sends a datagram to everyone but one, by calls of [`BATCH`] at most. Whatever the kernel refuses is passed over.
    pub fn send_except(&mut self, socket: &impl AsRawFd, datagram: &[u8], except: usize) {
        let Some(last) = self.headers.len().checked_sub(1) else {
            return;
        };
        self.piece.iov_base = datagram.as_ptr().cast_mut().cast();
        self.piece.iov_len = datagram.len();
        // The one who is left out stands last for a moment, so that no batch is broken by it.
        self.headers.swap(except, last);
        let mut next = 0;
        while next < last {
            let batch = &mut self.headers[next..last.min(next + BATCH)];
            // SAFETY: each of the headers points to a name and a datagram that live through the call, and the kernel
            // only reads them.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    batch.as_mut_ptr(),
                    batch.len() as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            next += usize::try_from(count).unwrap_or(0).max(1);
        }
        self.headers.swap(except, last);
    }
}
