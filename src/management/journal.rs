//! The log's lines about logins, departures and refusals: one each, at human pace. A flood is cut
//! to a rate, and the log then says how many lines were left out, by cause.

use crate::cause::{Cause, Counters, Ended, LoginRefused};
use crate::event::UserId;
use crate::limits::{JOURNAL_BURST, JOURNAL_LINES_PER_SECOND, JOURNAL_SILENCE};
use crate::quoted::Quoted;
use crate::rate::{RateLimit, Spent};
use log::{Level, info, log, log_enabled};
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Instant;

/// Writes the lines: see the [module](self).
#[derive(Default)]
pub(super) struct Journal {
    users: Budget,
    pending: Budget,
}

/// What a line is about, as it is counted if it is left out.
#[derive(Clone, Copy)]
enum What {
    Login,
    Refused(Cause),
}

/// Lines of one kind.
#[derive(Default)]
struct Budget {
    written: Spent,
    logins_left_out: u64,
    left_out: Counters,
    /// When the log says what was left out, if something was.
    tell_at: Option<Instant>,
}

impl Journal {
    /// A login, with what its password is called, if one was needed and is called anything.
    pub(super) fn logged_in(
        &mut self,
        now: Instant,
        id: UserId,
        name: &str,
        address: IpAddr,
        label: &str,
    ) {
        if log_enabled!(Level::Info) && self.users.permits(now, What::Login) {
            let name = Quoted(name);
            match label {
                "" => info!("user {id} logged in as {name} from {address}"),
                label => {
                    let label = Quoted(label);
                    info!("user {id} logged in as {name} from {address} with password {label}");
                }
            }
        }
    }

    /// A user's connection was closed, or a pending one. Of pending ones, only what the server
    /// closed is news.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        user: Option<(UserId, &str)>,
        address: IpAddr,
        ended: Ended,
    ) {
        let (name, cause) = (ended.name(), What::Refused(ended.into()));
        match user {
            Some((id, who)) => {
                if log_enabled!(Level::Info) && self.users.permits(now, cause) {
                    info!("user {id} {} from {address} left: {name}", Quoted(who));
                }
            }
            // The refusal has its line.
            None if ended == Ended::LoginRefused => {}
            None => {
                let level = match ended {
                    Ended::ByPeer | Ended::Broken => Level::Debug,
                    _ => Level::Info,
                };
                if log_enabled!(level) && self.pending.permits(now, cause) {
                    log!(
                        level,
                        "a pending connection from {address} was closed: {name}"
                    );
                }
            }
        }
    }

    pub(super) fn login_refused(
        &mut self,
        now: Instant,
        name: &str,
        address: IpAddr,
        refused: LoginRefused,
    ) {
        if log_enabled!(Level::Info) && self.pending.permits(now, What::Refused(refused.into())) {
            let name = Quoted(name);
            let detail = match refused {
                LoginRefused::BadName(error) => format!(" ({error})"),
                _ => String::new(),
            };
            let cause = refused.name();
            info!("a login as {name} from {address} refused: {cause}{detail}");
        }
    }

    pub(super) fn connection_refused(&mut self, now: Instant, address: IpAddr, cause: Cause) {
        if log_enabled!(Level::Info) && self.pending.permits(now, What::Refused(cause)) {
            info!("a connection from {address} refused: {}", cause.name());
        }
    }

    /// Logs what was left out, if that is due.
    pub(super) fn tell(&mut self, now: Instant) {
        for budget in [&mut self.users, &mut self.pending] {
            if let Some(what) = budget.take_left_out(now) {
                info!("left out of the log in {JOURNAL_SILENCE:?}: {what}");
            }
        }
    }

    /// When [that](Self::tell) is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let budgets = [&self.users, &self.pending];
        budgets.into_iter().filter_map(|it| it.tell_at).min()
    }
}

impl Budget {
    /// Whether a line may be written now. If not, it is counted.
    fn permits(&mut self, now: Instant, what: What) -> bool {
        let limit = RateLimit::per_second(JOURNAL_LINES_PER_SECOND, JOURNAL_BURST);
        let may = limit.try_spend(&mut self.written, now, 1);
        if !may {
            match what {
                What::Login => self.logins_left_out += 1,
                What::Refused(cause) => self.left_out.count(cause),
            }
            self.tell_at.get_or_insert(now + JOURNAL_SILENCE);
        }
        may
    }

    fn take_left_out(&mut self, now: Instant) -> Option<String> {
        self.tell_at.take_if(|at| *at <= now)?;
        let mut list = String::new();
        let mut add = |count: u64, name: &str| {
            let comma = if list.is_empty() { "" } else { ", " };
            let _ = write!(list, "{comma}{count} {name}");
        };
        let logins = std::mem::take(&mut self.logins_left_out);
        if logins > 0 {
            add(logins, "logins");
        }
        for (cause, count) in std::mem::take(&mut self.left_out).occurred() {
            add(count, cause.name());
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_a_flood_is_cut_and_all_of_it_is_counted() {
        let (start, mut budget) = (Instant::now(), Budget::default());
        let refused = What::Refused(Cause::RefusedTooOften);
        for _ in 0..JOURNAL_BURST {
            assert!(budget.permits(start, refused));
        }
        assert_eq!(budget.tell_at, None);
        for _ in 0..3 {
            assert!(!budget.permits(start, refused));
        }
        assert!(!budget.permits(start, What::Login));
        let later = start + Duration::from_secs(1);
        for _ in 0..JOURNAL_LINES_PER_SECOND {
            assert!(budget.permits(later, refused));
        }
        assert!(!budget.permits(later, What::Refused(Cause::RefusedBanned)));

        // It is logged once, so long after the first.
        let due = start + JOURNAL_SILENCE;
        assert_eq!(budget.tell_at, Some(due));
        let before = due - Duration::from_nanos(1);
        assert_eq!(budget.take_left_out(before), None);
        let list = "1 logins, 1 refused_banned, 3 refused_too_often";
        assert_eq!(budget.take_left_out(due).as_deref(), Some(list));
        assert_eq!((budget.take_left_out(due), budget.tell_at), (None, None));
    }
}
