//! Sets the configuration flag `shuttle`, which auth-core's source checks.

fn main() {
    println!("cargo::rustc-cfg=shuttle");
}
