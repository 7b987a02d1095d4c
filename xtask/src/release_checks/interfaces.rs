//! Checks the public interfaces, and their documentation as docs.rs builds it.

use std::fs;
use std::path::Path;

use super::packages::{flags, libraries};
use crate::run::{Result, cargo, run, target_dir};
use crate::steps::Steps;
use crate::tools::has_compiler;
use crate::{api, release};

/// Checks that `api/` is up to date, and reports removals since the last releases.
pub(crate) fn check(root: &Path, steps: &mut Steps) -> Result<()> {
    for library in libraries(root)? {
        release::check(root, &library, None)?;
    }
    if !has_compiler("nightly") {
        steps.leave_out("interfaces: needs a nightly compiler, and rustup cannot install one");
        return Ok(());
    }
    api::check(root)
}

/// Builds the documentation as docs.rs does, and checks that items show the feature that they need.
pub(crate) fn docs_rs(root: &Path, steps: &mut Steps) -> Result<()> {
    if !has_compiler("nightly") {
        steps.leave_out("docs-rs: needs a nightly compiler, and rustup cannot install one");
        return Ok(());
    }
    let mut doc = cargo(root, &["+nightly", "doc", "--quiet", "--locked", "--no-deps", "--all-features"]);
    run(doc.args(flags(&libraries(root)?)).env("RUSTDOCFLAGS", "-D warnings --cfg docsrs"))?;
    let page = target_dir(root).join("doc/auth_core/struct.ReqwestTransport.html");
    let is_marked = fs::read_to_string(&page)?.contains("Available on");
    if is_marked { Ok(()) } else { Err(format!("{} does not show the feature that it needs", page.display()).into()) }
}
