//! Tells auth-core's source that it is compiled for shuttle.

fn main() {
    println!("cargo::rustc-cfg=shuttle");
}
