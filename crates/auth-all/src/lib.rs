#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod config;

pub use auth_core as core;
pub use auth_core::{AccessToken, Error, ErrorKind, Policy, Secret, TokenManager, TokenPool, TokenSource};
#[cfg(feature = "store-file")]
pub use auth_store_file as store_file;
#[cfg(feature = "store-redis")]
pub use auth_store_redis as store_redis;

// One line for each provider: its module, its name (also that of its feature), its variant, and its crate.
providers! {
    zoqq: "zoqq" => Zoqq, auth_zoqq;
    roecny: "roecny" => Roecny, auth_roecny;
    cambyopro: "cambyopro" => Cambyopro, auth_cambyopro;
    voipex: "voipex" => Voipex, auth_voipex;
}
