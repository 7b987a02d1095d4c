//! Measures the cost of a token against the cost of its parts: `cargo run --release -p auth-benches`.
//!
//! Each figure is the median of several rounds. The rounds of one group alternate, so that a change of the machine's
//! speed affects all figures of the group. The program prints a table and draws it into `docs/speed.svg`. It also draws
//! how long callers wait while tokens expire, into `docs/expiry.svg`.

mod call;
mod chart;
mod expiry;
mod hit;
mod login;
mod stampede;
mod store;

use std::fs;

/// One row of the table: a measurement and the measurement that it is compared with.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    nanoseconds: f64,
    floor: f64,
    /// The highest ratio that meets the target, or `None` if the row is only a comparison.
    target: Option<f64>,
}

impl Row {
    fn new(name: &'static str, nanoseconds: f64, floor: f64, target: Option<f64>) -> Self {
        Self { name, nanoseconds, floor, target }
    }

    fn ratio(&self) -> f64 {
        self.nanoseconds / self.floor
    }
}

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Returns the median.
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

    for store::Cost { process, commands, bytes, milliseconds } in store::per_lifetime()? {
        println!("Redis, per token lifetime, {process}: {commands} commands, {bytes} bytes, {milliseconds:.2} ms");
    }

    let latencies = expiry::under_load()?;
    for (name, steps) in [("TokenManager", &latencies.managed), ("hand-written RwLock cache", &latencies.hand_written)]
    {
        let slowest = steps.iter().max().map_or(0.0, |slowest| slowest.as_secs_f64() * 1e9);
        println!("slowest caller while tokens expire: {name}, {}", duration(slowest));
    }
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/expiry.svg"), chart::latencies(&latencies))?;
    Ok(())
}

/// Formats a duration for people.
pub(crate) fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ..1e4 => format!("{nanoseconds:.0} ns"),
        ..1e7 => format!("{:.0} µs", nanoseconds / 1e3),
        _ => format!("{:.1} ms", nanoseconds / 1e6),
    }
}
