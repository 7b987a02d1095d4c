//! What a token costs, beside the bare parts it is made of: `cargo run --release -p auth-benches`.
//!
//! Each figure is the median of several rounds, and those of one group are measured in turn, so that a machine whose
//! speed drifts slows all of them. It prints the table, and draws it to `docs/speed.svg`; what callers wait while
//! tokens end goes to `docs/expiry.svg`.

mod call;
mod chart;
mod expiry;
mod hit;
mod login;
mod stampede;
mod store;

use std::fs;

/// One line of the table: what was measured, and what it is compared with.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    nanoseconds: f64,
    floor: f64,
    /// The most that the ratio may be; none where a row is there for comparison.
    target: Option<f64>,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.nanoseconds / self.floor
    }
}

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() -> Result<()> {
    let mut rows = hit::one_task()?;
    rows.extend(hit::two_threads()?);
    rows.extend(store::hit()?);
    rows.extend(stampede::cold()?);
    rows.extend(call::with_a_token()?);
    rows.extend(login::overhead()?);

    println!("{:<52} {:>14} {:>8} {:>8}", "", "median", "ratio", "target");
    for row in &rows {
        let target = row.target.map_or("-".into(), |target| format!("{target:.2}"));
        println!("{:<52} {:>14} {:>8.2} {target:>8}", row.name, duration(row.nanoseconds), row.ratio());
    }
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/speed.svg"), chart::costs(&rows))?;

    for store::Cost { who, commands, bytes, milliseconds } in store::lives()? {
        println!("Redis, for a token's life, {who}: {commands} commands, {bytes} bytes, {milliseconds:.2} ms");
    }

    let latencies = expiry::under_load()?;
    for (name, steps) in [("TokenManager", &latencies.managed), ("tokio RwLock by hand", &latencies.by_hand)] {
        let slowest = steps.iter().max().map_or(0.0, |slowest| slowest.as_secs_f64() * 1e9);
        println!("slowest caller while tokens end: {name}, {}", duration(slowest));
    }
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/expiry.svg"), chart::latencies(&latencies))?;
    Ok(())
}

pub(crate) fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ..1e4 => format!("{nanoseconds:.0} ns"),
        ..1e7 => format!("{:.0} µs", nanoseconds / 1e3),
        _ => format!("{:.1} ms", nanoseconds / 1e6),
    }
}
