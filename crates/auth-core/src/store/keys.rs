//! The keys of a sealed store, from a setting to the cipher.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret::Secret;
use crate::settings::ProviderInfo;

const LENGTH: usize = 32;
const EXPECTED: &str = "must be keys of 32 bytes in base64, such as `openssl rand -base64 32` gives";
const NUMBERED: &str = "must number its keys from 1 to 255, each once, as in `2:BASE64,1:BASE64`";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Holds the keys that seal a store's entries, each with a number from 1 to 255.
///
/// The first seals, every one opens, and the lowest number names the entries. So keys change without a miss in three
/// rounds over the fleet: from `1` to `1,2`, to `2,1`, to `2` alone; after the last, each identity logs in once more. A
/// new key must have a higher number than the old.
pub struct SealingKeys(
    /// Never empty.
    Vec<Key>,
);

pub(super) struct Key {
    pub(super) number: u8,
    pub(super) aead: RandomizedNonceKey,
    names: hmac::Key,
}

impl SealingKeys {
    /// Reads keys as in `2:BASE64,1:BASE64`, or each on a line of its own: 32 random bytes in base64, such as
    /// `openssl rand -base64 32` gives. One without a number is 1.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured), naming the setting `keys`.
    pub fn parse(text: &Secret) -> Result<Self, Error> {
        Self::read(text).map_err(|problem| Error::misconfigured("keys", problem))
    }

    fn read(text: &Secret) -> Result<Self, &'static str> {
        let is_between = |character: char| character == ',' || character.is_whitespace();
        let words = text.expose().split(is_between).filter(|word| !word.is_empty());
        let keys = words.map(Key::parse).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(EXPECTED);
        }
        let is_repeated = |key: &Key| keys.iter().filter(|other| other.number == key.number).count() > 1;
        if keys.iter().any(is_repeated) { Err(NUMBERED) } else { Ok(Self(keys)) }
    }

    /// Reads the keys of a store's settings `keys` and `keys_file`, of which at most one is set; none where neither is.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured), naming the setting.
    pub fn from_settings(
        profile: ProviderInfo,
        keys: Option<&Secret>,
        file: Option<&Path>,
    ) -> Result<Option<Self>, Error> {
        let (setting, text) = match (keys, file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(profile.invalid_setting("keys", "is set, and so is `keys_file`: keep one of them"));
            }
            (Some(keys), None) => ("keys", keys.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                let fault = |error| profile.invalid_setting("keys_file", "cannot be read").with_cause(&error);
                ("keys_file", text.map_err(fault)?.into())
            }
        };
        Self::read(&text).map(Some).map_err(|problem| profile.invalid_setting(setting, problem))
    }

    pub(super) fn sealing(&self) -> &Key {
        &self.0[0]
    }

    pub(super) fn numbered(&self, number: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.number.to_string() == number)
    }

    pub(super) fn naming(&self) -> &hmac::Key {
        let oldest = self.0.iter().min_by_key(|key| key.number);
        &oldest.unwrap_or_else(|| self.sealing()).names
    }
}

impl Key {
    fn parse(word: &str) -> Result<Self, &'static str> {
        let (number, text) = match word.split_once(':') {
            Some((number, text)) => (number.parse().ok().filter(|number| *number > 0), text),
            None => (Some(1), word),
        };
        let number = number.ok_or(NUMBERED)?;
        let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| EXPECTED)?);
        if bytes.len() != LENGTH {
            return Err(EXPECTED);
        }
        // One key for each purpose (RFC 5869).
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"auth-core store").extract(&bytes);
        let derive = |purpose: &[u8]| {
            let mut key = Zeroizing::new([0; LENGTH]);
            let filled = secret.expand(&[purpose], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut *key));
            filled.map(|()| key).map_err(|_| EXPECTED)
        };
        Ok(Self {
            number,
            aead: RandomizedNonceKey::new(&AES_256_GCM, &*derive(b"seal")?).map_err(|_| EXPECTED)?,
            names: hmac::Key::new(hmac::HMAC_SHA256, &*derive(b"name")?),
        })
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealingKeys").field(&self.0.iter().map(|key| key.number).collect::<Vec<_>>()).finish()
    }
}
