//! Programs to start from: see the files beside `Cargo.toml`.
