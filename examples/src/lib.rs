//! Example programs: see the files next to `Cargo.toml`.
