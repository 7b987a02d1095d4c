//! A flight with a store: one process logs in, and the others take the token that it saves.

mod calls;
mod guard;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::cursor::StoreCursor;
use super::meter::Meter;
use super::need::Need;
use super::renewal::RenewalContext;
use crate::clock::Moment;
use crate::error::Error;
use crate::provider::Provider;
use crate::store::wire::{Codec, StoreClock};
use crate::store::{EntryUpdate, LeaseNumber, LeaseOutcome, Snapshot, TokenStore};
use crate::targets;
use crate::token::AccessToken;
use crate::transport::Transport;
use calls::Calls;
use guard::LeaseGuard;

/// The first and the longest wait between two reads of an entry while another process holds the lease. Each wait is 1.5
/// times the previous one, with jitter.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// The longest lease, in case a login has an extreme deadline.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);

/// How long an entry is kept after the end of its cooldown, so that the next failure gets a longer cooldown.
const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// How long an entry is kept if the lifetime of its refresh token is not stated.
const SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

/// The store of a manager, if it has one.
pub(super) struct Share(Option<Arc<dyn TokenStore>>);

impl Share {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn with(store: Arc<dyn TokenStore>) -> Self {
        Self(Some(store))
    }

    /// Returns a token from the store, or logs in for all processes. Also returns the number of attempts.
    pub(super) async fn run<P: Provider, T: Transport>(
        &self,
        context: &mut RenewalContext<P, T>,
        need: Need,
        meter: &Meter,
    ) -> (u32, Result<AccessToken, Error>) {
        let Some(calls) = self.calls(context, meter) else {
            context.cursor = StoreCursor::default();
            return context.log_in().await;
        };
        let mut shared = SharedLogin::new(calls, context, need);
        match shared.read_or_lease().await {
            Found::Token(token) => (0, Ok(token)),
            Found::Cooldown(error) => (0, Err(error)),
            Found::LeaseHeld(held) => shared.log_in(held).await,
            Found::Nothing => shared.log_in_alone().await,
        }
    }

    /// Reads the entry once and returns its token if it is usable. A cooldown in the entry goes into the context.
    pub(super) async fn recall<P: Provider, T: Transport>(
        &self,
        context: &mut RenewalContext<P, T>,
        meter: &Meter,
    ) -> Result<Option<AccessToken>, Error> {
        let Some(calls) = self.calls(context, meter) else { return Ok(None) };
        let mut shared = SharedLogin::new(calls, context, Need::Usable);
        let asked = shared.now();
        let snapshot = shared.calls.load().await?;
        match shared.read(&snapshot, asked) {
            Some(Found::Token(token)) => Ok(Some(token)),
            _ => Ok(None),
        }
    }

    /// Returns `None` if there is no store, or the provider has no identity for these credentials.
    fn calls<'a, P: Provider, T: Transport>(
        &'a self,
        context: &RenewalContext<P, T>,
        meter: &'a Meter,
    ) -> Option<Calls<'a>> {
        let (store, identity) = self.0.as_ref().zip(context.login.provider().identity())?;
        let name = store.sealing().entry_name(context.login.name(), &identity);
        Some(Calls { store, name, provider: context.login.name(), meter, is_out: false })
    }

    /// Removes a rejected token from the store, in the background.
    ///
    /// The token is removed under its number, so a newer token that another process has saved meanwhile stays.
    pub(super) fn forget(&self, cursor: &StoreCursor) {
        let Some((store, name)) = self.0.clone().zip(cursor.name.clone()) else { return };
        let saved = cursor.saved;
        if saved != LeaseNumber(0)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { store.forget(&name, saved).await });
        }
    }
}

enum Found {
    Token(AccessToken),
    /// A login has failed in another process, and its cooldown applies to all processes.
    Cooldown(Error),
    LeaseHeld(LeaseHeld),
    /// The store does not respond.
    Nothing,
}

/// The lease, and what is needed to log in under it.
struct LeaseHeld {
    lease: LeaseGuard,
    has_refresh: bool,
    clock: StoreClock,
}

/// A login that is shared through the store: read, lease, claim, log in, save.
struct SharedLogin<'a, P, T> {
    calls: Calls<'a>,
    context: &'a mut RenewalContext<P, T>,
    need: Need,
    start: Moment,
    /// The number of the last change that this flight has read.
    known: LeaseNumber,
}

impl<'a, P: Provider, T: Transport> SharedLogin<'a, P, T> {
    fn new(calls: Calls<'a>, context: &'a mut RenewalContext<P, T>, need: Need) -> Self {
        if context.cursor.name.as_ref() != Some(&calls.name) {
            context.cursor = StoreCursor { name: Some(calls.name.clone()), ..StoreCursor::default() };
        }
        let start = context.login.clock().now();
        let known = context.cursor.revision;
        Self { calls, context, need, start, known }
    }

    /// Reads the entry until it has a token or a cooldown, or until the lease is granted.
    async fn read_or_lease(&mut self) -> Found {
        let ttl = lease_time(self.context.login.policy().deadline, self.calls.store.timeout());
        let start = Instant::now();
        let mut wait = FIRST_WAIT;
        // Waits long enough for two holders that are killed one after the other. If no lease was granted by then, the
        // store itself does not work, and this process logs in without it.
        while start.elapsed() <= 2 * ttl {
            let asked = self.now();
            let Some((lease, guard, snapshot)) = self.calls.lease(self.known, ttl).await else {
                return Found::Nothing;
            };
            let clock = StoreClock { local: self.now(), store: snapshot.now };
            if let Some(found) = self.read(&snapshot, asked) {
                return found;
            }
            if let Some(lease) = guard {
                return Found::LeaseHeld(LeaseHeld { lease, has_refresh: snapshot.has_refresh, clock });
            }
            if let LeaseOutcome::Held(left) = lease {
                sleep(wait.mul_f64(0.5 + 0.5 * fastrand::f64()).min(left)).await;
                wait = wait.mul_f64(1.5).min(LONGEST_WAIT);
            }
        }
        Found::Nothing
    }

    /// Returns the token or the cooldown of the entry if it ends this flight, or `None` if a login is needed.
    fn read(&mut self, snapshot: &Snapshot, asked: Moment) -> Option<Found> {
        let clock = StoreClock { local: asked, store: snapshot.now };
        let codec = Codec { sealing: self.calls.store.sealing(), name: &self.calls.name, clock };
        let login = &self.context.login;
        self.known = snapshot.revision;
        let now = login.clock().now();
        let open = |text| codec.open_access(text, login.provider().api_headers(), login.policy());
        let access = snapshot.access.as_ref().map(open);
        if let Some(token) = self.readable(access)
            && self.need.is_met(&token, &now)
            && !self.context.superseded.covers(&token, &now)
        {
            tracing::debug!(target: targets::STORE, store = self.calls.store.name(), "token taken from the store");
            self.context.cursor.revision = snapshot.revision;
            self.context.cursor.saved = snapshot.saved;
            return Some(Found::Token(token));
        }
        let cooldown = snapshot.cooldown.as_ref().map(|text| codec.open_cooldown(text, login.name()));
        let cooldown = self.readable(cooldown)?;
        self.context.cooldown.merge(&cooldown, &now);
        if let Some(error) = self.context.cooldown.error_at(&now) {
            return Some(Found::Cooldown(error));
        }
        // The login that this flight waited for has failed. This flight fails too, even if the cooldown is already
        // over. Otherwise all waiting processes would log in, one after the other.
        let last = cooldown.last.filter(|last| !last.failed_at.is_before(&self.start))?;
        Some(Found::Cooldown(last.error))
    }

    /// Returns `None` for a part that cannot be read, with a warning. The next save replaces it.
    fn readable<R>(&self, part: Option<Result<R, &'static str>>) -> Option<R> {
        part?
            .inspect_err(|reason| {
                self.calls.meter.stored("open", "unreadable");
                let (provider, store) = (self.context.login.name(), self.calls.store.name());
                tracing::warn!(target: targets::STORE, provider, store, reason, "entry of the store unreadable");
            })
            .ok()
    }

    /// Logs in, and saves the result before any caller gets it. Uses the refresh token of the store if there is one.
    async fn log_in(&mut self, held: LeaseHeld) -> (u32, Result<AccessToken, Error>) {
        let lease_number = held.lease.lease_number();
        if held.has_refresh
            && let Some(refresh) = self.calls.claim(lease_number).await
        {
            let codec = Codec { sealing: self.calls.store.sealing(), name: &self.calls.name, clock: held.clock };
            self.context.refresh = self.readable(Some(codec.open_refresh(&refresh))).or(self.context.refresh.take());
        }
        let (attempts, result) = self.context.log_in().await;
        let is_saved = match self.update(held.clock, result.as_ref().ok()) {
            Ok(update) => self.calls.save(lease_number, update).await,
            Err(error) => {
                tracing::warn!(target: targets::STORE, %error, "token not saved");
                Some(false)
            }
        };
        if is_saved == Some(true) {
            held.lease.end();
        }
        // After a save, the refresh token is in the store. If the response of the save was lost, it may be there, and
        // another process may use it. A second use here would end the session (RFC 9700 4.14.2). So this process keeps
        // it only if the save certainly did nothing.
        if is_saved != Some(false) {
            self.context.refresh = None;
        }
        let cursor = &mut self.context.cursor;
        // After a lost response, the token counts as saved, so that `reject` also removes it from the store. After a
        // failed login the cursor does not move, so that the entry is read again: its token may meet the next need.
        match (is_saved, &result) {
            (Some(false), Ok(_)) => cursor.saved = LeaseNumber(0),
            (_, Ok(_)) => {
                cursor.revision = lease_number;
                cursor.saved = lease_number;
            }
            (_, Err(_)) => {}
        }
        (attempts, result)
    }

    async fn log_in_alone(&mut self) -> (u32, Result<AccessToken, Error>) {
        let (attempts, result) = self.context.log_in().await;
        if result.is_ok() {
            self.context.cursor.saved = LeaseNumber(0);
        }
        (attempts, result)
    }

    fn update(&self, clock: StoreClock, token: Option<&AccessToken>) -> Result<EntryUpdate, Error> {
        let codec = Codec { sealing: self.calls.store.sealing(), name: &self.calls.name, clock };
        let refresh = self.context.refresh.as_ref();
        let cooldown = if token.is_none() { codec.seal_cooldown(&self.context.cooldown)? } else { None };
        let ttl = [
            token.map(AccessToken::lifetime),
            refresh.map(|token| token.lifetime().unwrap_or(SESSION)),
            cooldown.is_some().then(|| MEMORY + self.context.cooldown.remaining_at(&self.now()).unwrap_or_default()),
        ];
        Ok(EntryUpdate {
            access: token.map(|token| codec.seal_access(token)).transpose()?,
            refresh: refresh.map(|token| codec.seal_refresh(token)).transpose()?,
            cooldown,
            ttl: ttl.into_iter().flatten().max().unwrap_or_default(),
        })
    }

    fn now(&self) -> Moment {
        self.context.login.clock().now()
    }
}

/// Returns how long a lease lasts: 1.25 times the deadline of a login, plus four times the timeout of the store.
fn lease_time(deadline: Duration, timeout: Duration) -> Duration {
    deadline.saturating_add(deadline / 4).saturating_add(timeout.saturating_mul(4)).min(LONGEST_LEASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_a_lease_outlives_the_flight() {
        let seconds = Duration::from_secs;
        for deadline in [1, 30, 300] {
            assert!(lease_time(seconds(deadline), Duration::from_millis(50)) > seconds(deadline));
        }
        // The values for files and for Redis in docs/sharing.md.
        assert_eq!(lease_time(seconds(30), seconds(12)), Duration::from_millis(85_500));
        assert_eq!(lease_time(seconds(30), Duration::from_millis(50)), Duration::from_millis(37_700));
    }
}
