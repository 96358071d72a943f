//! System calls beside sockets: descriptors, and the options for bare metal. The other module with
//! `unsafe` code in it, one system call each.

use crate::connection::delivery::Contact;
use mio::net::TcpStream;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Raises the limit on open descriptors as far as this process may, and returns the new limit, if
/// the system has one.
#[cfg(unix)]
pub(crate) fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let mut limit = descriptor_limits()?;
    if limit.rlim_cur < limit.rlim_max {
        let before = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the structure lives through the call. A system that refuses its own maximum leaves the limit as it is.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            limit.rlim_cur = before;
        }
    }
    Ok(finite(limit.rlim_cur))
}

/// The limit on open descriptors, if the system has one.
#[cfg(unix)]
pub(crate) fn descriptor_limit() -> Option<u64> {
    finite(descriptor_limits().ok()?.rlim_cur)
}

#[cfg(unix)]
fn descriptor_limits() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure lives through the call.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => Ok(limit),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(unix)]
fn finite(limit: libc::rlim_t) -> Option<u64> {
    #[allow(
        clippy::unnecessary_cast,
        reason = "not every system has 64 unsigned bits here"
    )]
    (limit != libc::RLIM_INFINITY).then_some(limit as u64)
}

/// The CPU time of this process, with all its threads and the kernel's work for them
/// (clock_gettime(2)).
#[cfg(unix)]
pub(crate) fn cpu_time() -> Option<Duration> {
    // SAFETY: zero is valid for all its fields, of which some systems have more.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the structure lives through the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let (seconds, nanoseconds) = (time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?);
    (result == 0).then(|| Duration::new(seconds, nanoseconds))
}

/// How many descriptors this process has open, without counting them one by one, which with ten
/// thousand would block the loop for a tenth of a second. Linux before 6.2 does not report it
/// (proc_pid_fd(5)).
#[cfg(target_os = "linux")]
pub(crate) fn open_descriptors() -> Option<u64> {
    let count = std::fs::metadata("/proc/self/fd").ok()?.len();
    (count > 0).then_some(count)
}

/// The same, counted one by one.
#[cfg(target_os = "linux")]
pub(crate) fn count_open_descriptors() -> Option<u64> {
    let listed = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The list itself was read by one of them.
    Some(listed.saturating_sub(1) as u64)
}

/// Bytes that were written to a connection and are not acknowledged yet (`SIOCOUTQ`, tcp(7)).
#[cfg(target_os = "linux")]
pub(crate) fn unacknowledged(stream: &TcpStream) -> Option<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes an int, which lives through the call. It has the number of the
    // terminals' TIOCOUTQ.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    (result == 0).then(|| usize::try_from(bytes).ok())?
}

/// Not known.
#[cfg(not(target_os = "linux"))]
pub(crate) fn unacknowledged(_stream: &TcpStream) -> Option<usize> {
    None
}

/// When the client's machine was last heard (`TCP_INFO`, tcp(7)).
#[cfg(target_os = "linux")]
pub(crate) fn contact(stream: &TcpStream) -> Option<Contact> {
    // SAFETY: it is made of numbers alone, for which zero is valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the structure and its length live through the call, which writes no more than that.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    };
    // Older kernels know fewer of the fields, and all of these.
    (result == 0).then(|| Contact {
        silent_for: Duration::from_millis(
            info.tcpi_last_data_recv.min(info.tcpi_last_ack_recv).into(),
        ),
        is_asked: info.tcpi_probes > 0 || info.tcpi_retransmits > 0,
        is_repeating: info.tcpi_retransmits > 0,
    })
}

/// Not known.
#[cfg(not(target_os = "linux"))]
pub(crate) fn contact(_stream: &TcpStream) -> Option<Contact> {
    None
}

/// Bounds how long the kernel waits before it retransmits what was not acknowledged. That time
/// otherwise doubles with each attempt (`TCP_RTO_MAX_MS`, Linux 6.15 and later; from 1 s on).
#[cfg(target_os = "linux")]
pub(crate) fn bound_retransmission(stream: &TcpStream, most: Duration) -> io::Result<()> {
    /// Not in the C library's headers yet.
    const TCP_RTO_MAX_MS: libc::c_int = 44;
    let most_ms = most.as_millis().try_into();
    set_tcp_option(stream, TCP_RTO_MAX_MS, most_ms.unwrap_or(libc::c_int::MAX))
}

/// Bounds what the kernel takes of a connection's bytes before it can send them
/// (`TCP_NOTSENT_LOWAT`, tcp(7)).
#[cfg(target_os = "linux")]
pub(crate) fn bound_unsent(stream: &TcpStream, most: usize) -> io::Result<()> {
    let most = most.try_into().unwrap_or(libc::c_int::MAX);
    set_tcp_option(stream, libc::TCP_NOTSENT_LOWAT, most)
}

#[cfg(target_os = "linux")]
fn set_tcp_option(stream: &TcpStream, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: these options take an int, which lives through the call.
    success(unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
}

/// Memory of this process that is resident, in bytes (proc_pid_statm(5)).
#[cfg(target_os = "linux")]
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: it takes a number and returns one.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page).ok()?)
}

/// Not known.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident_bytes() -> Option<u64> {
    None
}

/// There is no such limit to raise.
#[cfg(not(unix))]
pub(crate) fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    Ok(None)
}

/// There is no such limit.
#[cfg(not(unix))]
pub(crate) fn descriptor_limit() -> Option<u64> {
    None
}

/// Not known.
#[cfg(not(unix))]
pub(crate) fn cpu_time() -> Option<Duration> {
    None
}

/// Not known.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open_descriptors() -> Option<u64> {
    None
}

/// Not known.
#[cfg(not(target_os = "linux"))]
pub(crate) fn count_open_descriptors() -> Option<u64> {
    None
}

/// Keeps the calling thread on one CPU (`sched_setaffinity(2)`).
#[cfg(target_os = "linux")]
pub(crate) fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: zero is a valid set, the CPU's number is within it, and the set lives through the
    // call.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    success(result)
}

/// Gives the calling thread a real-time priority, 1 to 99, in the `SCHED_FIFO` class (sched(7)).
#[cfg(target_os = "linux")]
pub(crate) fn set_realtime_priority(priority: u8) -> io::Result<()> {
    // SAFETY: zero is valid for all its fields, of which some systems have more.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = priority.into();
    // SAFETY: the structure lives through the call.
    success(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) })
}

/// Keeps all of the process's memory, what it has and what it will get, out of swap
/// (`mlockall(2)`).
#[cfg(target_os = "linux")]
pub(crate) fn lock_memory() -> io::Result<()> {
    // SAFETY: the call takes only flags.
    success(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) })
}

#[cfg(target_os = "linux")]
fn success(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What only Linux does is refused elsewhere.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;

    pub(crate) fn pin_to_cpu(_cpu: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn set_realtime_priority(_priority: u8) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn lock_memory() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{lock_memory, pin_to_cpu, set_realtime_priority};

/// Makes glibc return every large buffer to the system when it is freed (`M_MMAP_THRESHOLD`,
/// mallopt(3)). By default it begins to keep them once a few were freed. A storm of logins on a
/// large server, each with a list of everyone, would then leave ten times the memory behind that
/// the users need. Other allocators are not affected.
///
/// This concerns the whole process, and so is for the application to call, as the binary does. The
/// server itself never does.
pub fn return_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes two numbers.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 * 1_024);
    }
}
