//! `auth token`: the token, and nothing else.

use std::env;

use crate::accounts::Accounts;
use crate::args::TokenArgs;
use crate::failure::Result;
use crate::format::{EXEC_INFO, render, version};
use crate::output;
use crate::session::{Session, cache};

pub(crate) async fn run(args: TokenArgs) -> Result<()> {
    // What is wrong with it is told before a login.
    let version = version(args.format, env::var(EXEC_INFO).ok().as_deref())?;
    let account = Accounts::new(&args.flags)?.one(&args.provider)?;
    let cache = if args.wish.no_cache { None } else { Some(cache()?) };
    let session = Session::new(account, cache.as_ref())?;
    let min_ttl = args.wish.min_ttl;
    let (token, source) = if args.refresh { session.renew(min_ttl).await? } else { session.token(min_ttl).await? };
    let text = render(args.format, version, &session.account, &token, source)?;
    output::write(text.as_ref())
}
