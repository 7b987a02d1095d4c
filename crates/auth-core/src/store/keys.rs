//! Reads the keys of a sealed store, and derives the keys that encrypt entries and name them.

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
const EXPECTED: &str = "must be 32-byte keys in base64, as printed by `openssl rand -base64 32`";
const NUMBERED: &str = "must give each key a different number from 1 to 255, as in `2:BASE64,1:BASE64`";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The keys that seal a store's entries, each with a number from 1 to 255.
///
/// - The first key seals new entries.
/// - Every key opens entries.
/// - The key with the lowest number derives the names of entries.
///
/// To replace key 1 of a fleet by a new key 2, change the setting in three steps. Roll out each step to all processes
/// before the next one:
///
/// 1. `1:…,2:…`: every process can open entries that are sealed with key 2.
/// 2. `2:…,1:…`: key 2 seals new entries.
/// 3. `2:…`: key 1 is no longer used.
///
/// A new key must have a higher number than the old one. Entries stay readable during the change. The last step changes
/// the names of the entries, so each set of credentials logs in once more.
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
    /// Parses a list of keys such as `2:BASE64,1:BASE64`, separated by commas or white space.
    ///
    /// Each key is 32 random bytes in base64, as printed by `openssl rand -base64 32`. A key without a number has
    /// number 1.
    ///
    /// ```
    /// use auth_core::store::{Sealing, SealingKeys};
    ///
    /// let keys = SealingKeys::parse(&"1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into())?;
    /// let sealing = Sealing::with_keys(keys);
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if the text is not such a list. The error names the setting
    /// `keys`.
    pub fn parse(text: &Secret) -> Result<Self, Error> {
        Self::read(text).map_err(|problem| Error::misconfigured("keys", problem))
    }

    fn read(text: &Secret) -> Result<Self, &'static str> {
        let words = text.expose().split(is_separator).filter(|word| !word.is_empty());
        let keys = words.map(Key::parse).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(EXPECTED);
        }
        let is_repeated = |key: &Key| keys.iter().filter(|other| other.number == key.number).count() > 1;
        if keys.iter().any(is_repeated) { Err(NUMBERED) } else { Ok(Self(keys)) }
    }

    /// Reads the keys from a store's settings `keys` and `keys_file`. Returns `None` if neither is set.
    ///
    /// ```
    /// use auth_core::ProviderInfo;
    /// use auth_core::store::SealingKeys;
    ///
    /// let info = ProviderInfo::new("mystore", "MY_STORE");
    /// let keys = "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into();
    /// assert!(SealingKeys::from_settings(info, Some(&keys), None)?.is_some());
    /// assert!(SealingKeys::from_settings(info, None, None)?.is_none());
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) if both are set, if the file cannot be read, or if
    /// [`parse`](Self::parse) rejects the keys. The error names the setting.
    pub fn from_settings(
        info: ProviderInfo,
        keys: Option<&Secret>,
        file: Option<&Path>,
    ) -> Result<Option<Self>, Error> {
        let (setting, text) = match (keys, file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(info.invalid_setting("keys", "and `keys_file` are both set: remove one of them"));
            }
            (Some(keys), None) => ("keys", keys.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    info.invalid_setting("keys_file", "names a file that cannot be read").with_cause(&error)
                })?;
                ("keys_file", text.into())
            }
        };
        Self::read(&text).map(Some).map_err(|problem| info.invalid_setting(setting, problem))
    }

    pub(super) fn first(&self) -> &Key {
        &self.0[0]
    }

    pub(super) fn by_number(&self, number: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.number.to_string() == number)
    }

    pub(super) fn name_key(&self) -> &hmac::Key {
        let lowest = self.0.iter().min_by_key(|key| key.number);
        &lowest.unwrap_or_else(|| self.first()).names
    }
}

fn is_separator(character: char) -> bool {
    character == ',' || character.is_whitespace()
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
        // Encryption and names use different keys, derived from the same secret (HKDF, RFC 5869 section 3.2).
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"auth-core store").extract(&bytes);
        Ok(Self {
            number,
            aead: RandomizedNonceKey::new(&AES_256_GCM, &*derive(&secret, b"seal")?).map_err(|_| EXPECTED)?,
            names: hmac::Key::new(hmac::HMAC_SHA256, &*derive(&secret, b"name")?),
        })
    }
}

fn derive(secret: &hkdf::Prk, purpose: &[u8]) -> Result<Zeroizing<[u8; LENGTH]>, &'static str> {
    let mut key = Zeroizing::new([0; LENGTH]);
    let filled = secret.expand(&[purpose], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut *key));
    filled.map(|()| key).map_err(|_| EXPECTED)
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealingKeys").field(&self.0.iter().map(|key| key.number).collect::<Vec<_>>()).finish()
    }
}
