//! A login over real HTTP, beside the same `POST` by bare reqwest.

use std::time::Instant;

use auth_core::{Login, Provider, ReqwestTransport};
use auth_sandbox::{Api, PASSWORD, Sandbox, USERNAME};
use auth_voipex::Voipex;
use tokio::runtime::Builder;

use crate::{Result, Row, median};

const LOGINS: u32 = 5_000;

pub(crate) fn overhead() -> Result<Vec<Row>> {
    let sandbox = Sandbox::start()?;
    let builder = Voipex::builder().with_base_url(sandbox.base_url(Api::Voipex)).with_username(USERNAME);
    let voipex = builder.with_password(PASSWORD).build()?;
    let request = voipex.login();
    let (url, form) = (request.uri().to_string(), request.body().to_vec());
    let login = Login::new(voipex, ReqwestTransport::new()?);
    // A new connection each time, as for a login that comes once in half an hour.
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;

    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        // In turn, call by call, and each as often first: a loopback round trip depends most of all on what the other
        // processor has just done.
        for number in 0..2 * LOGINS {
            let start = Instant::now();
            if number % 4 == 0 || number % 4 == 3 {
                let request = client.post(&url).header("content-type", "application/x-www-form-urlencoded");
                request.body(form.clone()).send().await?.bytes().await?;
                bare.push(nanoseconds(start));
            } else {
                login.login().await?;
                ours.push(nanoseconds(start));
            }
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let floor = median(bare);
    let row = |name, nanoseconds, target| Row { name, nanoseconds, floor, target };
    Ok(vec![
        row("login over loopback: the same POST by bare reqwest", floor, None),
        row("login over loopback: Login::login", median(ours), Some(1.05)),
    ])
}

fn nanoseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e9
}
