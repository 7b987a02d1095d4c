//! `auth token`: prints a token and nothing else.

use std::env;

use crate::accounts::Accounts;
use crate::args::TokenArgs;
use crate::error::Result;
use crate::format::{EXEC_INFO, exec_credential_version, render};
use crate::output;
use crate::session::{Session, open_cache};

pub(crate) async fn run(args: TokenArgs) -> Result<()> {
    // Checked first, so that an error in the variable costs no login.
    let version = exec_credential_version(args.format, env::var(EXEC_INFO).ok().as_deref())?;
    let account = Accounts::new(&args.flags)?.account(&args.provider)?;
    let cache = if args.options.no_cache { None } else { Some(open_cache()?) };
    let session = Session::new(account, cache.as_ref())?;
    let min_ttl = args.options.min_ttl;
    let (token, origin) = if args.refresh { session.renew(min_ttl).await? } else { session.token(min_ttl).await? };
    let text = render(args.format, version, &session.account, &token, origin)?;
    output::write(text.as_ref())
}
