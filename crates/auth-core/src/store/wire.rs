//! Converts the parts of an entry from values to sealed text and back.
//!
//! All instants in the text are by the store's clock.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{EntryName, Sealing};
use crate::clock::Moment;
use crate::cooldown::{Cooldown, LastFailure};
use crate::error::{Error, ErrorKind};
use crate::expiry::Expiry;
use crate::policy::Policy;
use crate::secret::{Secret, SecretBytes};
use crate::token::{AccessToken, RefreshToken, TokenSet};
use crate::token_response::TokenResponse;

const ACCESS: &str = "access";
const REFRESH: &str = "refresh";
const COOLDOWN: &str = "cooldown";

/// How far ahead of the store's clock an instant from another process may be.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5);

/// The longest text that is taken from another process's failure, in characters.
const MAX_TEXT_CHARS: usize = 300;

/// Converts instants of this process to the store's clock and back.
///
/// The conversion may make a token look older than it is, by the duration of a call. It never makes it look younger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreClock {
    /// The time by this process's clocks. To write an instant, take it after the response. To read an instant, take it
    /// before the call.
    pub(crate) local: Moment,
    /// The time by the store's clock, at some moment between the call and the response.
    pub(crate) store: SystemTime,
}

impl StoreClock {
    /// Returns the microseconds since 1970 by the store's clock.
    fn write(&self, instant: &Moment) -> u64 {
        let at = match instant.monotonic.checked_duration_since(self.local.monotonic) {
            Some(later) => self.store.checked_add(later),
            None => self.store.checked_sub(self.local.since(instant)),
        };
        let since_epoch = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
        micros(since_epoch)
    }

    fn read(&self, instant: u64) -> Result<Moment, &'static str> {
        let instant = SystemTime::UNIX_EPOCH + Duration::from_micros(instant);
        let age = match self.store.duration_since(instant) {
            Ok(age) => age,
            Err(ahead) if ahead.duration() <= MAX_CLOCK_SKEW => Duration::ZERO,
            Err(_) => return Err("it is dated in the future: the store's clock was set back"),
        };
        let moment = self.local.monotonic.checked_sub(age).zip(self.local.wall.checked_sub(age));
        moment.map(|(monotonic, wall)| Moment { monotonic, wall }).ok_or("it is too old for this machine's clock")
    }
}

/// Seals and opens the parts of one entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec<'a> {
    pub(crate) sealing: &'a Sealing,
    pub(crate) name: &'a EntryName,
    pub(crate) clock: StoreClock,
}

#[derive(Serialize, Deserialize)]
struct AccessWire<S> {
    token: S,
    issued_us: u64,
    lifetime_us: u64,
    rejections: u32,
    scope: Option<String>,
    extras: Vec<(Cow<'static, str>, String)>,
}

#[derive(Serialize, Deserialize)]
struct RefreshWire<S> {
    token: S,
    issued_us: u64,
    lifetime_us: Option<u64>,
    login_lifetime_us: u64,
}

#[derive(Serialize, Deserialize)]
struct CooldownWire<'a> {
    kind: Cow<'a, str>,
    message: Cow<'a, str>,
    status: Option<u16>,
    code: Option<Cow<'a, str>>,
    setting: Option<Cow<'a, str>>,
    is_transient: bool,
    at_us: u64,
    cooldown_us: u64,
    refusals: u32,
    failures: u32,
}

impl Codec<'_> {
    pub(crate) fn seal_access(&self, token: &AccessToken) -> Result<Secret, Error> {
        let wire = AccessWire {
            token: token.expose(),
            issued_us: self.clock.write(&token.issued()),
            lifetime_us: micros(token.lifetime()),
            rejections: token.rejections(),
            scope: token.scope().map(str::to_owned),
            extras: token.extras().to_vec(),
        };
        self.seal(ACCESS, &wire)
    }

    pub(crate) fn open_access(
        &self,
        text: &Secret,
        api_headers: Vec<(HeaderName, HeaderValue)>,
        policy: &Policy,
    ) -> Result<AccessToken, &'static str> {
        let wire: AccessWire<Secret> = self.open(ACCESS, text)?;
        let mut response = TokenResponse::new(wire.token, Expiry::After(Duration::from_micros(wire.lifetime_us)));
        response.scope = wire.scope;
        response.extras = wire.extras;
        let issued = self.clock.read(wire.issued_us)?;
        let tokens = TokenSet::new(response, api_headers, issued, None, None, policy)?;
        Ok(tokens.access.with_rejections(wire.rejections))
    }

    pub(crate) fn seal_refresh(&self, token: &RefreshToken) -> Result<Secret, Error> {
        let wire = RefreshWire {
            token: token.expose(),
            issued_us: self.clock.write(&token.issued()),
            lifetime_us: token.lifetime().map(micros),
            login_lifetime_us: micros(token.login_lifetime()),
        };
        self.seal(REFRESH, &wire)
    }

    pub(crate) fn open_refresh(&self, text: &Secret) -> Result<RefreshToken, &'static str> {
        let wire: RefreshWire<Secret> = self.open(REFRESH, text)?;
        let lifetime = wire.lifetime_us.map(Duration::from_micros);
        let login_lifetime = Duration::from_micros(wire.login_lifetime_us);
        Ok(RefreshToken::of_session(wire.token, self.clock.read(wire.issued_us)?, lifetime, login_lifetime))
    }

    /// Returns `None` if there is no failure to share.
    pub(crate) fn seal_cooldown(&self, cooldown: &Cooldown) -> Result<Option<Secret>, Error> {
        let Some(LastFailure { error, failed_at, cooldown: duration }) = &cooldown.last else {
            return Ok(None);
        };
        let wire = CooldownWire {
            kind: error.kind().name().into(),
            message: error.message().into(),
            status: error.status().map(|status| status.as_u16()),
            code: error.code().map(Cow::from),
            setting: error.setting().map(Cow::from),
            is_transient: error.is_transient(),
            at_us: self.clock.write(failed_at),
            cooldown_us: micros(*duration),
            refusals: cooldown.refusals,
            failures: cooldown.failures,
        };
        self.seal(COOLDOWN, &wire).map(Some)
    }

    pub(crate) fn open_cooldown(&self, text: &Secret, provider: &'static str) -> Result<Cooldown, &'static str> {
        let wire: CooldownWire<'static> = self.open(COOLDOWN, text)?;
        let kind = ErrorKind::from_name(&wire.kind).ok_or("it has a failure of an unknown kind")?;
        let mut error = Error::new(kind, printable(&wire.message))
            .with_provider(provider)
            .with_code(wire.code.as_deref().map(printable));
        if let Some(status) = wire.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            error = error.with_status(status);
        }
        if let Some(setting) = &wire.setting {
            error = error.with_setting(printable(setting));
        }
        if wire.is_transient {
            error = error.into_transient();
        }
        let failed_at = self.clock.read(wire.at_us)?;
        let last = LastFailure { error, failed_at, cooldown: Duration::from_micros(wire.cooldown_us) };
        Ok(Cooldown::from_store(last, wire.refusals, wire.failures))
    }

    fn seal(&self, part: &str, wire: &impl Serialize) -> Result<Secret, Error> {
        let mut body = SecretBytes::with_capacity(2048);
        serde_json::to_writer(&mut body, wire).map_err(|_| Error::internal("an entry cannot be written"))?;
        self.sealing.seal(self.name, part, body)
    }

    fn open<T: DeserializeOwned>(&self, part: &str, text: &Secret) -> Result<T, &'static str> {
        let bytes = self.sealing.open(self.name, part, text)?;
        serde_json::from_slice(&bytes).map_err(|_| "it does not have the expected fields")
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}

/// Returns text that is safe to log: another process may have written control characters, or a very long text.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_TEXT_CHARS).collect()
}
