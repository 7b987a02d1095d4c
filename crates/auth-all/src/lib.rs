#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "zoqq", feature = "roecny", feature = "cambyopro", feature = "voipex"))]
mod config;

pub use auth_core as core;

#[cfg(feature = "cambyopro")]
pub use auth_cambyopro as cambyopro;
#[cfg(feature = "roecny")]
pub use auth_roecny as roecny;
#[cfg(feature = "store-file")]
pub use auth_store_file as store_file;
#[cfg(feature = "store-redis")]
pub use auth_store_redis as store_redis;
#[cfg(feature = "voipex")]
pub use auth_voipex as voipex;
#[cfg(feature = "zoqq")]
pub use auth_zoqq as zoqq;

#[cfg(any(feature = "zoqq", feature = "roecny", feature = "cambyopro", feature = "voipex"))]
pub use config::ProviderConfig;
