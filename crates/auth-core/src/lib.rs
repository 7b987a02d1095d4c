#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod endpoint;
mod error;
mod expiry;
mod failure;
mod freshness;
mod jwt;
pub mod key_login;
mod login;
mod manager;
mod message;
mod origin;
mod policy;
mod pool;
mod provider;
mod retry;
mod secret;
mod setback;
mod settings;
mod source;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod transport;
mod verdict;

pub use async_trait::async_trait;
pub use clock::{Clock, Moment, SystemClock};
pub use endpoint::Endpoint;
pub use error::{Error, ErrorKind};
pub use expiry::{Expiry, NumberOrText};
pub use failure::Failure;
pub use freshness::Freshness;
pub use http;
pub use login::Login;
pub use manager::{Status, TokenManager};
pub use message::{Request, Response};
pub use origin::Origin;
pub use policy::Policy;
pub use pool::TokenPool;
pub use provider::{Grant, Provider};
pub use secret::{Body, Secret};
pub use settings::{Profile, Required, setting_names};
pub use source::{TokenFuture, TokenSource};
pub use token::{AccessToken, RefreshToken, Token};
pub use transport::Transport;
#[cfg(feature = "reqwest")]
pub use transport::reqwest::ReqwestTransport;
