//! What a token costs, beside the bare parts it is made of, measured in one run.
//!
//! Figures are the median of several rounds; the parts and the whole are measured in turn, so that a machine whose speed
//! drifts slows both.

mod hit;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows = hit::measure()?;
    for row in rows {
        println!("{row:?}");
    }
    Ok(())
}
