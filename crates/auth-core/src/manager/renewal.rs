//! One renewal: ask the source for the credentials, then log in with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::look::{Look, Looks};
use super::state::Shared;
use crate::cooldown::Cooldown;
use crate::credentials::{CredentialSource, Fingerprint};
use crate::error::Error;
use crate::login::provider_calls::ProviderCalls;
#[cfg(feature = "store")]
use crate::need::Need;
use crate::need::Outcome;
use crate::provider::Provider;
#[cfg(feature = "store")]
use crate::renew::{Recalled, SharedContext, Superseded};
use crate::renew::{Renew, Renewal, RenewalContext};

/// How long a source is waited for during a cooldown. Callers without a token wait for it too.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// The input of one renewal.
pub(super) struct Renewing {
    pub(super) shared: Arc<Shared>,
    #[cfg(feature = "store")]
    pub(super) need: Need,
    /// Where to look for news. It is set only during a cooldown.
    pub(super) look: Option<Look>,
    pub(super) deadline: Instant,
    pub(super) facts: Arc<Facts>,
}

/// What the supervisor of a renewal must know, even if the renewal panics.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Whether the source is asked now.
    pub(super) is_asking: AtomicBool,
    /// The epoch of the credentials of the last login.
    pub(super) epoch: AtomicU64,
}

impl Renewing {
    pub(super) async fn run(self) -> Renewal {
        match self.look {
            Some(look) => self.look(look).await,
            None => match self.ask_source(self.deadline).await {
                Ok(Asked::Refused) => self.log_in_unless_paused().await,
                Ok(_) => self.log_in().await,
                Err(error) => self.source_failed(error),
            },
        }
    }

    /// Returns the error of the cooldown, if there is one. Otherwise logs in.
    async fn log_in_unless_paused(&self) -> Renewal {
        let error = self.shared.lock().cooldown.error_at(&self.shared.clock.now());
        match error {
            Some(error) => self.quiet(Err(error)),
            None => self.log_in().await,
        }
    }

    /// Looks for news during a cooldown. Logs in only with other credentials.
    async fn look(&self, look: Look) -> Renewal {
        if look.at_source {
            let limit = self.deadline.min(Instant::now() + LOOK_TIMEOUT);
            // If the source fails now, the refusal stays the error that callers get.
            if let Ok(Asked::Changed) = self.ask_source(limit).await {
                return self.log_in().await;
            }
        }
        #[cfg(feature = "store")]
        if look.in_store
            && let Ok(Some(recalled)) = self.recall().await
        {
            match recalled {
                Recalled { token: Some(token), cooldown, cursor, .. } => {
                    return Renewal { cursor, cooldown, is_news: true, ..self.quiet(Ok(token)) };
                }
                Recalled { spare, .. } => return Renewal { spare, ..self.log_in_unless_paused().await },
            }
        }
        // The cooldown may have ended during the look.
        self.log_in_unless_paused().await
    }

    /// Reads the store. Asks the source only if it has never been asked: without credentials, no entry can be found.
    #[cfg(feature = "store")]
    pub(super) async fn recall(&self) -> Result<Option<Recalled>, Error> {
        if self.shared.lock().renewer.is_none() {
            self.ask_source(self.deadline).await?;
        }
        match self.context(false) {
            Some((renewer, context)) => renewer.recall(context).await,
            None => Ok(None),
        }
    }

    /// Logs in. If the server refuses the credentials of a source, asks the source once more: they may have been rotated
    /// between the last call of the source and the login.
    async fn log_in(&self) -> Renewal {
        let renewal = self.renew().await;
        self.note(&renewal);
        let is_worth_asking = renewal.outcome.as_ref().is_err_and(Error::is_refusal) && renewal.attempts > 0;
        if is_worth_asking && let Ok(Asked::Changed) = self.ask_source(self.deadline).await {
            let mut second = self.renew().await;
            self.note(&second);
            second.attempts += renewal.attempts;
            return second;
        }
        renewal
    }

    async fn renew(&self) -> Renewal {
        match self.context(true) {
            Some((renewer, context)) => renewer.renew(context).await,
            // A source has always returned credentials by now.
            None => self.source_failed(Error::internal("there are no credentials")),
        }
    }

    /// Remembers whether the credentials were refused, and what a second login of this renewal must know.
    fn note(&self, renewal: &Renewal) {
        let mut state = self.shared.lock();
        if state.source().is_none() {
            return;
        }
        let fingerprint = state.fingerprint;
        match (&renewal.outcome, fingerprint) {
            (Err(error), Some(fingerprint)) if error.is_refusal() => {
                state.refused.insert(fingerprint, renewal.cooldown.clone());
                state.cooldown.merge(&renewal.cooldown, &self.shared.clock.now());
                if renewal.attempts > 0 {
                    state.refusal = Some(error.clone());
                }
            }
            (Ok(_), Some(fingerprint)) => state.refused.remove(fingerprint),
            _ => {}
        }
    }

    /// Asks the source, if there is one, and takes its credentials.
    async fn ask_source(&self, limit: Instant) -> Result<Asked, Error> {
        let (source, refusal) = {
            let state = self.shared.lock();
            let Some(source) = state.source().cloned() else { return Ok(Asked::Same) };
            (source, state.refusal.clone())
        };
        self.facts.is_asking.store(true, Ordering::Release);
        let provider = timeout_at(limit, source.provider(refusal.as_ref())).await;
        self.facts.is_asking.store(false, Ordering::Release);
        match provider {
            Ok(provider) => {
                let provider = provider?;
                // Told. A source that failed is told again.
                self.shared.lock().refusal = None;
                self.take(provider)
            }
            Err(_) => Err(Error::unavailable("the source of the credentials did not respond in time")),
        }
    }

    fn take(&self, provider: Arc<dyn Provider>) -> Result<Asked, Error> {
        let provider = ProviderCalls::new(provider);
        let fingerprint = Fingerprint::of(&provider)?;
        let name = self.shared.name.of(provider.name());
        let renewer = self.shared.options.renewer(provider, name)?;
        let mut state = self.shared.lock();
        // Always taken: a login request may contain a time or a signature, with the same credentials.
        state.renewer = Some(renewer);
        let last = state.fingerprint.replace(fingerprint);
        if last.is_none_or(|last| last == fingerprint) {
            return Ok(Asked::Same);
        }
        // The refresh token belongs to the old credentials, and so does the cooldown, unless these were refused before.
        state.refresh = None;
        if let Some(cooldown) = state.refused.get(fingerprint).cloned() {
            // Their own cooldown counts. Other credentials that came in between may have ended it.
            state.cooldown.merge(&cooldown, &self.shared.clock.now());
            return Ok(Asked::Refused);
        }
        state.cooldown = Cooldown::default();
        state.looks = Looks::default();
        state.arrived_with = None;
        Ok(Asked::Changed)
    }

    /// Returns what logs in, and a copy of the manager's state for it.
    fn context(&self, with_refresh: bool) -> Option<(Arc<dyn Renew>, RenewalContext)> {
        let mut state = self.shared.lock();
        self.facts.epoch.store(state.epoch, Ordering::Release);
        let context = RenewalContext {
            deadline: self.deadline,
            // Taken, not cloned: if the runtime drops this task, the server may already have processed the refresh
            // token, and the next flight must not send it again (RFC 9700 4.14.2).
            refresh: if with_refresh { state.refresh.take() } else { None },
            cooldown: state.cooldown.clone(),
            #[cfg(feature = "store")]
            shared: SharedContext {
                need: self.need,
                superseded: Superseded { current: self.shared.current.load(), rejected: state.rejected.clone() },
                cursor: state.cursor.clone(),
            },
        };
        state.renewer.clone().map(|renewer| (renewer, context))
    }

    fn source_failed(&self, error: Error) -> Renewal {
        let mut state = self.shared.lock();
        let mut cooldown = state.cooldown.clone();
        let (now, policy) = (self.shared.clock.now(), &self.shared.options.policy);
        let error = cooldown.fail_source(self.shared.named(error), now, policy);
        Renewal { refresh: state.refresh.take(), ..Renewal::failed(error, cooldown) }
    }

    /// Returns a renewal that leaves the refresh token and the cooldown of the manager as they are.
    fn quiet(&self, outcome: Outcome) -> Renewal {
        let mut state = self.shared.lock();
        Renewal {
            attempts: 0,
            outcome,
            refresh: state.refresh.take(),
            cooldown: state.cooldown.clone(),
            #[cfg(feature = "store")]
            spare: None,
            is_news: false,
            #[cfg(feature = "store")]
            cursor: None,
        }
    }
}

/// What a source returned.
enum Asked {
    /// The same credentials as before.
    Same,
    /// Other credentials, which may be tried at once.
    Changed,
    /// Other credentials, which were refused before. Their cooldown goes on.
    Refused,
}
