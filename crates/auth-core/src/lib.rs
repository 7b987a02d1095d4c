#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(target_family = "wasm")]
compile_error!(
    "auth-core does not support wasm: logins run on threads, and their deadlines need the clocks of a system"
);

mod backoff;
mod clock;
mod cooldown;
pub mod credentials;
mod endpoint;
mod error;
mod error_response;
mod expiry;
mod freshness;
mod jwt;
mod login;
mod manager;
mod message;
mod meter;
mod name;
mod need;
mod origin;
mod policy;
mod pool;
pub mod promises;
mod provider;
mod renew;
mod runtime;
mod secret;
mod settings;
#[cfg(feature = "store")]
mod shared_login;
mod slot;
mod source;
#[cfg(feature = "store")]
pub mod store;
pub mod targets;
mod token;
mod token_response;
mod transport;

pub use async_trait::async_trait;
pub use clock::{Clock, Moment, SystemClock};
pub use credentials::CredentialSource;
pub use endpoint::Endpoint;
pub use error::{Error, ErrorKind};
pub use error_response::ErrorResponse;
pub use expiry::{Expiry, NumberOrString};
pub use freshness::Freshness;
pub use http;
pub use manager::{Status, TokenFuture, TokenManager, TokenManagerBuilder};
pub use message::{Request, Response};
pub use origin::Origin;
pub use policy::Policy;
pub use pool::{TokenPool, TokenPoolBuilder};
pub use provider::Provider;
pub use secret::{Secret, SecretBytes};
pub use settings::{ProviderInfo, RequiredSettings, Setting, setting_names};
pub use source::TokenSource;
pub use token::{AccessToken, RefreshToken};
pub use token_response::TokenResponse;
pub use transport::Transport;
#[cfg(feature = "reqwest")]
pub use transport::reqwest::ReqwestTransport;
