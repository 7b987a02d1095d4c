//! The table as a picture.

use std::fmt::Write;

use crate::{Row, duration};

const WIDTH: f64 = 900.0;
const LABELS: f64 = 380.0;
const LINE: f64 = 26.0;
/// So many pixels for a ratio of 1.
const UNIT: f64 = 95.0;

/// Draws a bar for each row, as long as its ratio, and a mark where its target stands.
pub(crate) fn draw(rows: &[Row]) -> String {
    let height = LINE * (rows.len() as f64 + 2.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"20\" font-weight=\"bold\">Cost as a ratio to the bare parts; the red mark is the most that it may be</text>\n"
    );
    for (number, row) in rows.iter().enumerate() {
        let y = LINE * (number as f64 + 1.5);
        let length = row.ratio() * UNIT;
        let colour = if row.target.is_some() { "#2f6db5" } else { "#b9c4d0" };
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
                "<line x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\" stroke=\"#c0392b\" stroke-width=\"2\"/>",
                y - 1.0,
                y + 21.0
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}
