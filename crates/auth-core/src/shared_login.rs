//! A login with a store: one process logs in, and the others take the token that it saves.

mod calls;
mod lease;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::clock::Moment;
use crate::cooldown::Cooldown;
use crate::error::Error;
use crate::login::Login;
use crate::meter;
use crate::need::{Need, Outcome};
use crate::renew::{Recalled, Renew, Renewal, RenewalContext, SharedContext, Spare, StoreCursor, Superseded};
use crate::store::wire::{Codec, StoreClock};
use crate::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Snapshot, TokenStore};
use crate::targets;
use crate::token::{AccessToken, RefreshToken};

use calls::Calls;
use lease::LeaseGuard;

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

/// Wraps a [`Login`], as a layer wraps a service: it takes a token from the store, or logs in for all processes.
#[derive(Clone)]
pub(crate) struct SharedLogin {
    login: Login,
    store: Arc<dyn TokenStore>,
}

impl SharedLogin {
    pub(crate) fn new(login: Login, store: Arc<dyn TokenStore>) -> Self {
        Self { login, store }
    }

    fn lease_time(&self) -> Duration {
        lease_time(self.login.policy.deadline, self.store.timeout())
    }

    /// Returns `None` if these credentials must not be shared.
    fn entry_name(&self) -> Result<Option<EntryName>, Error> {
        let identity = self.login.provider.identity()?;
        Ok(identity.map(|identity| self.store.sealing().entry_name(self.login.name.provider, &identity)))
    }
}

#[async_trait]
impl Renew for SharedLogin {
    async fn renew(&self, context: RenewalContext) -> Renewal {
        match self.entry_name() {
            Ok(Some(name)) => SharedRenewal::new(self, name, context).run().await,
            Ok(None) => self.login.run(context).await,
            Err(error) => self.login.failed(error, context),
        }
    }

    async fn recall(&self, context: RenewalContext) -> Result<Option<Recalled>, Error> {
        match self.entry_name()? {
            Some(name) => SharedRenewal::new(self, name, context).recall().await.map(Some),
            None => Ok(None),
        }
    }

    /// Removes the token under its number, so a newer token that another process has saved meanwhile stays.
    async fn forget(&self, cursor: StoreCursor) {
        if let Some(saved) = cursor.saved {
            // If the store does not respond, the other processes learn of the rejection from their own servers.
            let _ = self.store.forget(&cursor.name, saved).await;
        }
    }
}

impl fmt::Debug for SharedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLogin").field("login", &self.login).field("store", &self.store.name()).finish()
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

/// One renewal through the store: read, lease, claim, log in, save.
struct SharedRenewal<'a> {
    login: &'a Login,
    calls: Calls<'a>,
    lease_time: Duration,
    deadline: Instant,
    need: Need,
    superseded: Superseded,
    refresh: Option<RefreshToken>,
    cooldown: Cooldown,
    cursor: StoreCursor,
    start: Moment,
    /// The number of the last change that this renewal has read.
    known: LeaseNumber,
    spare: Option<Spare>,
}

impl<'a> SharedRenewal<'a> {
    fn new(shared: &'a SharedLogin, name: EntryName, context: RenewalContext) -> Self {
        let login = &shared.login;
        let RenewalContext { deadline, refresh, cooldown, shared: of_store } = context;
        let cursor = of_store.cursor.filter(|cursor| cursor.name == name);
        let cursor =
            cursor.unwrap_or_else(|| StoreCursor { name: name.clone(), revision: LeaseNumber::default(), saved: None });
        Self {
            login,
            calls: Calls { store: &shared.store, entry: name, name: &login.name, is_out: false },
            lease_time: shared.lease_time(),
            deadline,
            need: of_store.need,
            superseded: of_store.superseded,
            refresh,
            cooldown,
            start: login.clock.now(),
            known: cursor.revision,
            cursor,
            spare: None,
        }
    }

    async fn run(mut self) -> Renewal {
        match self.read_or_lease().await {
            Found::Token(token) => self.finish(0, Ok(token)),
            Found::Cooldown(error) => self.finish(0, Err(error)),
            Found::LeaseHeld(held) => self.log_in(held).await,
            Found::Nothing => self.log_in_alone().await,
        }
    }

    fn finish(self, attempts: u32, outcome: Outcome) -> Renewal {
        Renewal {
            attempts,
            outcome,
            refresh: self.refresh,
            cooldown: self.cooldown,
            spare: self.spare,
            is_news: true,
            cursor: Some(self.cursor),
        }
    }

    /// Reads the entry once, without a lease.
    async fn recall(mut self) -> Result<Recalled, Error> {
        let asked = self.login.clock.now();
        let snapshot = self.calls.load().await?;
        let token = match self.read(&snapshot, asked) {
            Some(Found::Token(token)) => Some(token),
            _ => None,
        };
        Ok(Recalled { spare: self.spare, token, cooldown: self.cooldown, cursor: Some(self.cursor) })
    }

    /// Reads the entry until it has a token or a cooldown, or until the lease is granted.
    async fn read_or_lease(&mut self) -> Found {
        let start = Instant::now();
        let mut wait = FIRST_WAIT;
        // Waits long enough for two holders that are killed one after the other. If no lease was granted by then, the
        // store itself does not work, and this process logs in without it.
        while start.elapsed() <= 2 * self.lease_time {
            let asked = self.login.clock.now();
            let Some((lease, guard, snapshot)) = self.calls.lease(self.known, self.lease_time).await else {
                return Found::Nothing;
            };
            let clock = StoreClock { local: self.login.clock.now(), store: snapshot.now };
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

    /// Returns the token or the cooldown of the entry if it ends this renewal, or `None` if a login is needed.
    fn read(&mut self, snapshot: &Snapshot, asked: Moment) -> Option<Found> {
        let clock = StoreClock { local: asked, store: snapshot.now };
        self.known = snapshot.revision;
        let now = self.login.clock.now();
        // The entry comes once. Later snapshots of the same revision have no token.
        if let Some(token) = self.open_access(snapshot, clock) {
            let spare = Spare { token, saved: snapshot.saved };
            self.spare = Some(spare).filter(|spare| !self.superseded.covers(&spare.token, &now));
        }
        let text = snapshot.cooldown.as_ref();
        let cooldown =
            text.and_then(|text| self.readable(self.codec(clock).open_cooldown(text, self.login.name.provider)));
        if let Some(Spare { token, .. }) = self.spare.take_if(|spare| self.need.is_met(&spare.token, &now)) {
            let (provider, label, store) = (self.login.name.provider, self.login.name.label(), self.calls.store.name());
            tracing::debug!(target: targets::STORE, provider, label, store, "token taken from the store");
            self.cursor.revision = snapshot.revision;
            self.cursor.saved = Some(snapshot.saved);
            // The entry may have both: a token, and the cooldown of a login that has failed since. The cooldown applies
            // to the next renewal of this process as well.
            self.cooldown = cooldown.unwrap_or_default();
            return Some(Found::Token(token));
        }
        let cooldown = cooldown?;
        self.cooldown.merge(&cooldown, &now);
        if let Some(error) = self.cooldown.error_at(&now) {
            return Some(Found::Cooldown(error));
        }
        // The login that this renewal waited for has failed. This renewal fails too, even if the cooldown is already
        // over. Otherwise all waiting processes would log in, one after the other.
        let last = cooldown.last.filter(|last| !last.failed_at.is_before(&self.start))?;
        Some(Found::Cooldown(last.error))
    }

    fn open_access(&self, snapshot: &Snapshot, clock: StoreClock) -> Option<AccessToken> {
        let text = snapshot.access.as_ref()?;
        let api_headers = self.login.provider.api_headers().ok()?;
        self.readable(self.codec(clock).open_access(text, api_headers, &self.login.policy))
    }

    fn codec(&self, clock: StoreClock) -> Codec<'_> {
        Codec { sealing: self.calls.store.sealing(), name: &self.calls.entry, clock }
    }

    /// Returns `None` for a part that cannot be read, with a warning. The next save replaces it.
    fn readable<R>(&self, part: Result<R, &'static str>) -> Option<R> {
        part.inspect_err(|reason| {
            let (provider, label) = (self.login.name.provider, self.login.name.label());
            meter::stored(provider, "open", "unreadable");
            let store = self.calls.store.name();
            tracing::warn!(target: targets::STORE, provider, label, store, reason, "entry of the store unreadable");
        })
        .ok()
    }

    /// Logs in, and saves the result before any caller gets it. Uses the refresh token of the store if there is one.
    async fn log_in(mut self, held: LeaseHeld) -> Renewal {
        let lease_number = held.lease.lease_number();
        if held.has_refresh
            && let Some(refresh) = self.calls.claim(lease_number).await
        {
            let refresh = self.readable(self.codec(held.clock).open_refresh(&refresh));
            self.refresh = refresh.or(self.refresh.take());
        }
        let (attempts, outcome) = self.run_login().await;
        let is_saved = match self.update(held.clock, &outcome) {
            // Nothing to save. The lease is released, so that the next process logs in.
            Ok(update) if update.access.is_none() && update.refresh.is_none() && update.cooldown.is_none() => {
                Some(false)
            }
            Ok(update) => self.calls.save(lease_number, update).await,
            Err(error) => {
                let (provider, label) = (self.login.name.provider, self.login.name.label());
                tracing::warn!(target: targets::STORE, provider, label, %error, "token not saved");
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
            self.refresh = None;
        }
        // After a lost response, the token counts as saved, so that `reject` also removes it from the store. After a
        // failed login the cursor does not move, so that the entry is read again: its token may meet the next need.
        match (is_saved, &outcome) {
            (Some(false), Ok(_)) => self.cursor.saved = None,
            (_, Ok(_)) => {
                self.cursor.revision = lease_number;
                self.cursor.saved = Some(lease_number);
            }
            (_, Err(_)) => {}
        }
        self.finish(attempts, outcome)
    }

    async fn log_in_alone(mut self) -> Renewal {
        let (attempts, outcome) = self.run_login().await;
        if outcome.is_ok() {
            self.cursor.saved = None;
        }
        self.finish(attempts, outcome)
    }

    /// Logs in within the deadline of a login, which starts again after the wait for another process.
    async fn run_login(&mut self) -> (u32, Outcome) {
        let context = RenewalContext {
            deadline: self.deadline.max(Instant::now() + self.login.policy.deadline),
            refresh: self.refresh.take(),
            cooldown: self.cooldown.clone(),
            shared: SharedContext { need: self.need, superseded: Superseded::default(), cursor: None },
        };
        let renewal = self.login.run(context).await;
        self.refresh = renewal.refresh;
        self.cooldown = renewal.cooldown;
        // Marked before it is saved, so that the mark reaches the other processes.
        (renewal.attempts, renewal.outcome.map(|token| self.superseded.mark(token)))
    }

    fn update(&self, clock: StoreClock, outcome: &Outcome) -> Result<EntryUpdate, Error> {
        let codec = self.codec(clock);
        let (token, refresh) = (outcome.as_ref().ok(), self.refresh.as_ref());
        let cooldown = match outcome {
            Err(error) if !error.may_be_local() => codec.seal_cooldown(&self.cooldown)?,
            _ => None,
        };
        let left = self.cooldown.remaining_at(&self.login.clock.now()).unwrap_or_default();
        let ttl = [
            token.map(AccessToken::lifetime),
            refresh.map(|token| token.lifetime().unwrap_or(SESSION)),
            cooldown.is_some().then(|| MEMORY + left),
        ];
        Ok(EntryUpdate {
            access: token.map(|token| codec.seal_access(token)).transpose()?,
            refresh: refresh.map(|token| codec.seal_refresh(token)).transpose()?,
            cooldown,
            ttl: ttl.into_iter().flatten().max().unwrap_or_default(),
        })
    }
}

/// Returns the longest time that a renewal takes: the waits for two leases of other processes, and the login.
pub(crate) fn longest(deadline: Duration, timeout: Duration) -> Duration {
    let waits = lease_time(deadline, timeout).saturating_mul(2).saturating_add(timeout.saturating_mul(4));
    deadline.saturating_add(waits)
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
