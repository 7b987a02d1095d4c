//! What the managers of a pool have in common, and a manager that is built alone has for itself.

use std::sync::{Arc, OnceLock};

#[cfg(shuttle)]
use shuttle::sync::Mutex;
#[cfg(not(shuttle))]
use std::sync::Mutex;
use std::time::Duration;

use super::TokenManager;
use super::state::{Shared, State};
use crate::clock::{Clock, SystemClock};
use crate::credentials::{Credentials, Origin};
use crate::error::Error;
use crate::login::Login;
use crate::login::provider_calls::ProviderCalls;
use crate::name::{ManagerName, Name};
use crate::policy::Policy;
use crate::renew::Renew;
use crate::runtime::LoginRuntime;
#[cfg(feature = "store")]
use crate::shared_login::{self, SharedLogin};
use crate::slot::Slot;
#[cfg(feature = "store")]
use crate::store::TokenStore;
use crate::transport::Transport;

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) runtime: LoginRuntime,
    #[cfg(feature = "store")]
    pub(crate) store: Option<Arc<dyn TokenStore>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transport: None,
            policy: Arc::default(),
            clock: Arc::new(SystemClock),
            runtime: LoginRuntime::default(),
            #[cfg(feature = "store")]
            store: None,
        }
    }
}

impl Options {
    /// Builds a manager without a token.
    pub(crate) fn manager(
        self: &Arc<Self>,
        credentials: Credentials,
        label: Option<Arc<str>>,
    ) -> Result<TokenManager, Error> {
        let name = ManagerName::new(label);
        let renewer = match &credentials.0 {
            Origin::Constant(provider) => {
                let provider = ProviderCalls::new(provider.clone());
                #[cfg(feature = "reqwest")]
                if self.transport.is_none() {
                    shared_transport().prepare(provider.login_request()?.uri())?;
                }
                let name = name.of(provider.name());
                Some(self.renewer(provider, name)?)
            }
            Origin::Source(_) => {
                self.transport()?;
                None
            }
        };
        Ok(TokenManager(Arc::new(Shared {
            clock: self.clock.clone(),
            current: Slot::default(),
            changes: OnceLock::new(),
            meter: OnceLock::new(),
            state: Mutex::new(State::new(credentials, renewer)),
            name,
            options: self.clone(),
        })))
    }

    /// Returns what logs in with these credentials.
    pub(crate) fn renewer(&self, provider: ProviderCalls, name: Name) -> Result<Arc<dyn Renew>, Error> {
        let (clock, policy) = (self.clock.clone(), self.policy.clone());
        let login = Login { provider, transport: self.transport()?, clock, policy, name };
        #[cfg(feature = "store")]
        if let Some(store) = &self.store {
            return Ok(Arc::new(SharedLogin::new(login, store.clone())));
        }
        Ok(Arc::new(login))
    }

    /// Returns the longest time that a renewal takes.
    pub(crate) fn longest(&self) -> Duration {
        #[cfg(feature = "store")]
        if let Some(store) = &self.store {
            return shared_login::longest(self.policy.deadline, store.timeout());
        }
        self.policy.deadline
    }

    pub(crate) fn has_store(&self) -> bool {
        #[cfg(feature = "store")]
        return self.store.is_some();
        #[cfg(not(feature = "store"))]
        false
    }

    #[cfg(feature = "reqwest")]
    fn transport(&self) -> Result<Arc<dyn Transport>, Error> {
        Ok(self.transport.clone().unwrap_or_else(|| Arc::new(shared_transport().clone())))
    }

    #[cfg(not(feature = "reqwest"))]
    fn transport(&self) -> Result<Arc<dyn Transport>, Error> {
        let problem = "is missing: call `with_transport`, or enable the feature `reqwest`";
        self.transport.clone().ok_or_else(|| Error::misconfigured("transport", problem))
    }
}

#[cfg(feature = "reqwest")]
fn shared_transport() -> &'static crate::transport::reqwest::ReqwestTransport {
    crate::transport::reqwest::ReqwestTransport::shared()
}
