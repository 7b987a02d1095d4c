//! `auth token`: the token, and nothing else.

use std::env;
use std::time::Duration;

use crate::account::Accounts;
use crate::args::{Format, TokenArgs};
use crate::failure::Result;
use crate::format::{EXEC_INFO, render};
use crate::output;
use crate::session::{Session, cache};

pub(crate) async fn run(args: TokenArgs) -> Result<()> {
    let account = Accounts::new(&args.flags)?.one(&args.provider)?;
    let cache = if args.no_cache { None } else { Some(cache()?) };
    let session = Session::new(account, cache.as_ref())?;
    if args.refresh {
        session.reject().await;
    }
    let (token, source) = session.token(args.min_ttl.unwrap_or(Duration::ZERO)).await?;
    let exec_info = env::var(EXEC_INFO).ok().filter(|_| args.format == Format::ExecCredential);
    output::write(&render(args.format, &session.account, &token, source, exec_info.as_deref())?)
}
