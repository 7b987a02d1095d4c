//! Draws the figures as SVG charts.

use std::fmt::Write;
use std::time::Duration;

use crate::expiry::{Latencies, RUN, STEP};
use crate::{Row, duration};

const WIDTH: f64 = 900.0;
const OURS: &str = "#2f6db5";
const OTHERS: &str = "#b9c4d0";
const LIMIT: &str = "#c0392b";

fn picture(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"20\" font-weight=\"bold\">{title}</text>\n"
    )
}

/// Draws a bar for each row, with the ratio as its length and a mark at the target.
pub(crate) fn costs(rows: &[Row]) -> String {
    const LABELS: f64 = 380.0;
    const LINE: f64 = 26.0;
    /// The length of a ratio of 1, in pixels.
    const UNIT: f64 = 95.0;

    let title = "Cost as a ratio to the floor; the red mark is the highest ratio allowed";
    let mut svg = picture(LINE * (rows.len() as f64 + 2.0), title);
    for (number, row) in rows.iter().enumerate() {
        let y = LINE * (number as f64 + 1.5);
        let length = row.ratio() * UNIT;
        let colour = if row.target.is_some() { OURS } else { OTHERS };
        let text = y + 15.0;
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{text}\">{}</text>\
             <rect x=\"{LABELS}\" y=\"{}\" width=\"{length:.1}\" height=\"18\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{text}\">{:.2} ({})</text>",
            row.name,
            y + 1.0,
            LABELS + length.max(row.target.unwrap_or_default() * UNIT) + 8.0,
            row.ratio(),
            duration(row.nanoseconds),
        );
        if let Some(target) = row.target {
            let x = LABELS + target * UNIT;
            let _ = writeln!(
                svg,
                "<line x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\" stroke=\"{LIMIT}\" stroke-width=\"2\"/>",
                y - 1.0,
                y + 21.0
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Draws the slowest call of each step, on a logarithmic scale.
pub(crate) fn latencies(latencies: &Latencies) -> String {
    let (left, right, top, bottom) = (70.0, WIDTH - 20.0, 60.0, 340.0);
    // The scale is in seconds, as powers of ten.
    let (least, most) = (-7.0, 0.0);

    let x = |time: Duration| left + (right - left) * time.div_duration_f64(RUN);
    let y = |power: f64| bottom - (bottom - top) * (power.clamp(least, most) - least) / (most - least);
    let title = "The slowest of 64 callers in each 20 ms; tokens last 2 s, a login takes 200 ms";
    let mut svg = picture(bottom + 45.0, title);
    for power in least as i32..=most as i32 {
        let (y, label) = (y(power.into()), duration(1e9 * 10_f64.powi(power)));
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e3e7eb\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            left - 8.0,
            y + 4.0
        );
    }
    for second in 0..=RUN.as_secs() {
        let x = x(Duration::from_secs(second));
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{second} s</text>", bottom + 20.0);
    }
    let series =
        [(&latencies.hand_written, "#8796a5", "hand-written RwLock cache"), (&latencies.managed, OURS, "TokenManager")];
    for (number, (steps, colour, name)) in series.into_iter().enumerate() {
        let points = steps.iter().enumerate().filter(|(_, latency)| !latency.is_zero()).map(|(step, latency)| {
            format!("{:.1},{:.1}", x(STEP.mul_f64(step as f64)), y(latency.as_secs_f64().log10()))
        });
        let points: Vec<_> = points.collect();
        let legend = left + 200.0 * number as f64;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
             <text x=\"{legend}\" y=\"44\" fill=\"{colour}\" font-weight=\"bold\">{name}</text>",
            points.join(" ")
        );
    }
    svg.push_str("</svg>\n");
    svg
}
