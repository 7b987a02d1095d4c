//! The public interfaces, and their documentation as docs.rs builds it.

use std::fs;
use std::path::Path;

use super::packages::{flags, libraries};
use crate::run::{Result, cargo, run, target_dir};
use crate::steps::Steps;
use crate::tools::{has_compiler, tool};
use crate::{api, release};

/// What `api/` says, and what they have lost since the last releases.
pub(crate) fn check(root: &Path, steps: &mut Steps) -> Result<()> {
    for library in libraries(root)? {
        release::judge(root, &library, None)?;
    }
    if !has_compiler("nightly") {
        steps.leave_out("interfaces: there is no nightly compiler, which lists them");
        return Ok(());
    }
    tool("cargo-public-api", "0.52.0")?;
    api::check(root)
}

/// With the marks of what is behind a feature.
pub(crate) fn docs_rs(root: &Path, steps: &mut Steps) -> Result<()> {
    if !has_compiler("nightly") {
        steps.leave_out("docs-rs: there is no nightly compiler, which docs.rs uses");
        return Ok(());
    }
    let mut doc = cargo(root, &["+nightly", "doc", "--quiet", "--locked", "--no-deps", "--all-features"]);
    run(doc.args(flags(&libraries(root)?)).env("RUSTDOCFLAGS", "-D warnings --cfg docsrs"))?;
    let page = target_dir(root).join("doc/auth_core/struct.ReqwestTransport.html");
    let is_marked = fs::read_to_string(&page)?.contains("Available on");
    if is_marked { Ok(()) } else { Err(format!("{} does not name its feature", page.display()).into()) }
}
