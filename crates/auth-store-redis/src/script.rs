//! The Lua scripts that run in Redis. Redis runs each script atomically: no other command runs in between.

use std::sync::LazyLock;

use redis::Script;

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!(include_str!("scripts/prelude.lua"), include_str!($file))));
    };
}

script!(LOAD, "scripts/load.lua");
script!(LEASE, "scripts/lease.lua");
script!(CLAIM, "scripts/claim.lua");
script!(SAVE, "scripts/save.lua");
script!(RELEASE, "scripts/release.lua");
script!(FORGET, "scripts/forget.lua");
